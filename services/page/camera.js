// The live camera: its pictures go into a stream of the service, and the classes of window after window come back.

import { Problem, call, openSocket } from "./service.js";

const SIDE = 320; // pixels of a picture's longer side; models look at crops of 112 to 320
const QUALITY = 0.8;
const IN_FLIGHT = 2; // pictures without an answer: a slow service slows the camera, and nothing queues up
const USUAL_FPS = 30;
const RATE_S = 10; // seconds over which the rate of pictures is measured
const RECONNECT_MS = 1000;
const BUSY = new Set(["overloaded", "not_ready"]); // the picture was not taken, and the next ones may be
const BUSY_MS = 1000;
const NO_CAMERA = "No camera was found: connect one, and try again.";
const REFUSALS = {
  NotAllowedError: "The camera was refused: allow it for this page in the browser's settings, and try again.",
  NotFoundError: NO_CAMERA,
  OverconstrainedError: NO_CAMERA,
  NotReadableError: "The camera cannot be read: close other programs that use it, and try again.",
};

// What a stream for a model's input is created with, and the seconds from picture to picture.
//
// The frames of a window are frame_stride / fps seconds apart, and for each the service takes the newest picture that is
// there. So fps is what the model's strides count: its own rate, or that of usual videos where they count frames of any
// video. It is the same for slow cameras, whose pictures then stand for longer. Two pictures for each frame of a window are
// sent, so that none is older than half a stride; more would be thrown away.
export function planOf({ fps, num_frames, frame_stride }) {
  const rate = fps ?? USUAL_FPS;
  const window = (num_frames * frame_stride) / rate;
  return { fps: rate, stride: window > 1 ? 1 : null, gap: 1 / Math.min(rate, (2 * rate) / frame_stride) };
}

export class Camera {
  #model;
  #view;
  #onWindow;
  #plan;
  #media = null;
  #stream = null;
  #socket = null;
  #canvas = document.createElement("canvas");
  #begun = 0;
  #fresh = false; // whether there is a picture that was not sent
  #due = 0; // when the next one may be sent
  #sent = []; // when those without an answer were
  #answered = []; // when answers came
  #reconnected = false;
  #fault = null;
  #stopped = false;
  #wake = () => {};

  // view: the video that shows the camera; onWindow: called with a window's answer, the ms it took, pictures a second
  constructor(model, view, onWindow) {
    this.#model = model;
    this.#view = view;
    this.#onWindow = onWindow;
    this.#plan = planOf(model.input);
  }

  // Send pictures until `stop`. onOpen: called when the camera is seen. Throws Problem.
  async run(onOpen) {
    try {
      await this.#open();
      onOpen();
      await this.#create();
      this.#connect();
      this.#watch();
      while (!this.#stopped) await this.#sendNext();
    } catch (error) {
      if (!this.#stopped) throw error;
    } finally {
      this.stop();
    }
  }

  // End the stream and give the camera back.
  stop() {
    this.#stopped = true;
    for (const track of this.#media?.getTracks() ?? []) track.stop();
    this.#view.srcObject = null;
    this.#socket?.close();
    if (this.#stream) {
      // keepalive: also when the page goes; one that is already gone is as good
      call(`/v1/streams/${this.#stream}`, { method: "DELETE", keepalive: true }).catch(() => {});
      this.#stream = null;
    }
    this.#wake();
  }

  async #open() {
    if (!navigator.mediaDevices) {
      throw new Problem("Browsers give the camera only to pages over https or on localhost: open the service there.");
    }
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: this.#plan.fps } };
    try {
      this.#media = await navigator.mediaDevices.getUserMedia({ video: wanted });
    } catch (error) {
      throw new Problem(REFUSALS[error.name] ?? `The camera cannot be used (${error.name}).`);
    }
    for (const track of this.#media.getTracks()) {
      track.addEventListener("ended", () => this.#fail("The camera was disconnected, or another program took it."));
    }
    this.#view.srcObject = this.#media;
    await this.#view.play();
  }

  async #create() {
    if (this.#stopped) return;
    const { fps, stride } = this.#plan;
    const body = JSON.stringify({ model: this.#model.name, fps, stride, top: 5 });
    const headers = { "Content-Type": "application/json" };
    this.#stream = (await call("/v1/streams", { method: "POST", headers, body })).body.id;
  }

  #connect() {
    if (this.#stopped) return;
    this.#socket = openSocket(`/v1/streams/${this.#stream}/ws`);
    this.#socket.addEventListener("open", () => this.#wake());
    this.#socket.addEventListener("message", (event) => this.#take(JSON.parse(event.data)));
    this.#socket.addEventListener("close", (event) => this.#lose(event.reason));
  }

  // note each picture of the camera; a hidden page gets none, and so sends none
  #watch() {
    if (this.#stopped) return;
    const next = () => {
      this.#fresh = true;
      this.#wake();
      this.#watch();
    };
    if (this.#view.requestVideoFrameCallback) this.#view.requestVideoFrameCallback(next);
    else requestAnimationFrame(next);
  }

  async #sendNext() {
    const gap = 1000 * this.#plan.gap;
    await this.#until(
      () =>
        this.#fresh &&
        this.#socket.readyState === WebSocket.OPEN &&
        this.#sent.length < IN_FLIGHT &&
        performance.now() >= this.#due - gap / 4, // a camera of that very rate is now and then early
    );
    if (this.#stopped) return;
    const now = performance.now();
    this.#begun ||= now;
    this.#fresh = false;
    this.#due = Math.max(this.#due + gap, now);
    const message = new Blob([bigEndian((now - this.#begun) / 1000), await this.#picture()]);
    if (this.#stopped || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(message);
    this.#sent.push(now);
  }

  // Wait until this holds or the camera is stopped. Throws what went wrong meanwhile.
  async #until(holds) {
    while (!this.#fault && !this.#stopped && !holds()) {
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#fault) throw this.#fault;
  }

  #picture() {
    const { videoWidth, videoHeight } = this.#view;
    const scale = Math.min(1, SIDE / Math.max(videoWidth, videoHeight));
    this.#canvas.width = Math.round(scale * videoWidth);
    this.#canvas.height = Math.round(scale * videoHeight);
    this.#canvas.getContext("2d").drawImage(this.#view, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }

  #take({ results, error }) {
    if (this.#stopped) return;
    const now = performance.now();
    const sent = this.#sent.shift();
    if (error && BUSY.has(error.code)) this.#due = now + BUSY_MS;
    else if (error) this.#fail(error.message);
    else {
      this.#reconnected = false;
      this.#answered = [...this.#answered, now].filter((at) => at > now - 1000 * RATE_S);
      for (const row of results) this.#onWindow(row, now - sent, this.#rate(now));
    }
    this.#wake();
  }

  #rate(now) {
    const span = (now - this.#answered[0]) / 1000;
    return span > 0 ? (this.#answered.length - 1) / span : 0;
  }

  // the socket has closed: a gateway that went has others beside it, so once it is tried again
  #lose(reason) {
    if (this.#stopped) return;
    this.#sent = [];
    if (this.#reconnected) {
      this.#fail(reason || "The connection to the service was lost: start the camera again.");
      return;
    }
    this.#reconnected = true;
    setTimeout(() => this.#connect(), RECONNECT_MS);
  }

  #fail(message) {
    this.#fault = new Problem(message);
    this.#wake();
  }
}

function bigEndian(value) {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setFloat64(0, value);
  return bytes;
}
