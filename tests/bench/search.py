"""What a search costs beside the training of its trials: processes, reports, checkpoints, lineage, idle places."""

from __future__ import annotations

import os
import tempfile
import time

from tests.bench.harness import Figure

SECONDS = float(os.environ.get("BENCH_TRIAL_S", "60"))
"""Wanted length of a trial's training; the figure is for 60."""
ROUNDS = 3
"""Trials that each place has after the other."""
WARM_STEPS = 20


def search() -> list[Figure]:
    """1 - seconds of training / (wall clock x trials at once), for trials of a minute; Ray is up before.

    Trials of x3d_tiny in their own processes, one core each, with checkpoints, an evaluation at the end and lineage in MLflow.
    """
    from pipelines.common.cluster import ensure_ray
    from pipelines.common.program import Invocation
    from pipelines.common.search.outcome import study_lineage
    from pipelines.common.search.settings import SweepSection
    from pipelines.common.search.study import open_study
    from pipelines.common.search.trials import TrialMaker
    from pipelines.common.search.tuning import Options, run_trials
    from vidmodels.core.recipe import RunSection
    from vidmodels.systems.x3d.recipes import x3d_tiny

    slots = max(1, (os.cpu_count() or 2) // 2)
    base = x3d_tiny()
    data = base.data.replace(synthetic=base.data.synthetic.replace(num_videos=200))
    with tempfile.TemporaryDirectory() as home:
        run = RunSection(backend="local", decoders=0, storage=home, pictures=False)
        options = SweepSection(scheduler="none", concurrent=slots)
        maker = TrialMaker(Invocation("bench", base.replace(data=data), run, search=options))

        def trained(name: str, steps: int, count: int) -> tuple[float, float]:
            """Wall-clock seconds of so many trials, and seconds of training in them."""
            study = open_study(home, "bench", name, {"classes": None, "name": name}, fresh=False)
            schedule = base.schedule.replace(epochs=10_000, max_steps=steps)
            recipes = [base.replace(data=data, schedule=schedule, train=base.train.replace(seed=seed)) for seed in range(count)]
            trials = [maker.trial(recipe, {"train.seed": recipe.train.seed}) for recipe in recipes]
            with study_lineage(study, "bench", base, {}, run, maker.tracking_uri, "") as (_, parent):
                start = time.perf_counter()
                assert run_trials(study, trials, Options(options, "loss", "min", parent=parent))
                wall = time.perf_counter() - start
            return wall, sum(record.seconds for record in study.records.values())

        ensure_ray(run, slots)
        _, warm = trained("warm", WARM_STEPS, slots)
        steps = max(WARM_STEPS, round(WARM_STEPS * SECONDS * slots / warm))
        wall, training = trained("measured", steps, ROUNDS * slots)
    import ray

    ray.shutdown()
    count = ROUNDS * slots
    print(f"  {count} trials of {steps} steps, {slots} at once: {training / count:.1f} s of training each, {wall:.1f} s in all")
    return [Figure("search", 1 - training / (wall * slots), "of the places' time is not training")]
