"""Texts that would make a careless reader open another file or call an address; URL stands for one that nobody may call."""

from __future__ import annotations

PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile secret.mp4\n",
    "concat with options": "ffconcat version 1.0\nfile secret.mp4\noption safe 0\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "hls by address": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nURL/secret.ts\n#EXT-X-ENDLIST\n",
    "hls with a key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="URL/key"\n#EXTINF:1,\nURL/secret.ts\n',
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>URL/secret.mp4</BaseURL></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "smil": '<smil><body><video src="URL/secret.mp4"/></body></smil>',
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="URL/secret.png"/></svg>',
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nURL/secret\n",
}

NAMES = (
    "concat:secret.mp4|secret.mp4", "subfile,,start,0,end,100,,:secret.mp4", "file:secret.mp4", "pipe:0", "URL/secret.mp4",
    "data:video/mp4;base64,AAAA", "crypto:secret.mp4", "cache:URL/x", "tcp://127.0.0.1:1", "\\\\server\\share\\x.mp4",
    "lavfi:testsrc", "/dev/zero", "/proc/self/environ", ".", "",
)  # fmt: skip
