// The sound of the softphone, and what carries it: the media stream of a call, as Twilio would hold it, or a call
// that is listened to. Announces "phone:frame" every 20 ms, and "phone:cleared", on the document.
"use strict";

const phoneStream = (() => {
  const FRAME_MS = 20;
  const LOUD = 0.012; // root mean square of the microphone, as a part of full scale, that counts as speech
  const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const announce = (name, detail) => document.dispatchEvent(new CustomEvent(`phone:${name}`, { detail }));

  // -- sound ---------------------------------------------------------------------------------------------

  // `microphone`: {device}, its id, empty for the system's own; or null, for none.
  async function openSound(microphone) {
    const context = new AudioContext({ latencyHint: "interactive" });
    const sound = { context, stream: null, source: null, node: null };
    try {
      if (microphone) sound.stream = await openMicrophone(microphone);
      await context.audioWorklet.addModule("/static/phone-line.js");
      sound.node = new AudioWorkletNode(context, "phone-line", {
        numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1], channelCount: 1, channelCountMode: "explicit",
      });
      sound.node.connect(context.destination);
      if (sound.stream) {
        sound.source = context.createMediaStreamSource(sound.stream);
        sound.source.connect(sound.node);
      }
      await context.resume();
      return sound;
    } catch (error) {
      closeSound(sound);
      throw error;
    }
  }

  async function openMicrophone({ device }) {
    if (!navigator.mediaDevices) throw new Error("A browser gives its microphone to https and to localhost alone. Type instead.");
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: {
        deviceId: device ? { exact: device } : undefined, channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true,
      } });
    } catch (error) {
      const why = { NotAllowedError: "it was not allowed", NotFoundError: "there is none", NotReadableError: "another program has it", OverconstrainedError: "this one is gone" };
      throw new Error(`No microphone: ${why[error.name] || error.message}. Allow it, choose another, or type instead.`);
    }
  }

  function closeSound(sound) {
    for (const track of sound.stream?.getTracks() ?? []) track.stop();
    sound.context.close().catch(() => {});
  }

  // -- the media stream, in Twilio's messages -------------------------------------------------------------

  class Line {
    constructor(sound, placed, given) {
      this.sound = sound;
      this.given = given; // the words go beside the sound
      this.ids = { callSid: placed.call_sid, streamSid: `BR${randomId()}` };
      this.sequence = 0;
      this.frames = 0;
      this.spoke = null; // frames of the microphone's last speech: first, last
      this.clips = new Map();
      this.over = new Promise((resolve) => { this.left = resolve; });
      this.socket = new WebSocket(socketUrl(placed.media_path));
      this.socket.onopen = () => this.begin(placed.token);
      this.socket.onmessage = ({ data }) => this.obey(JSON.parse(data));
      this.socket.onclose = ({ code, reason }) => this.left({ code, reason });
      sound.node.port.onmessage = ({ data }) => this.report(data);
    }

    begin(token) {
      this.socket.send(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }));
      this.send({ event: "start", start: {
        accountSid: "browser", ...this.ids, tracks: ["inbound"],
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 }, customParameters: { token },
      } });
      this.open = true;
    }

    send(message) {
      if (this.socket.readyState !== WebSocket.OPEN) return;
      this.sequence += 1;
      this.socket.send(JSON.stringify({ ...message, sequenceNumber: String(this.sequence), streamSid: this.ids.streamSid }));
    }

    obey(message) {
      const port = this.sound.node.port;
      if (message.event === "media") port.postMessage({ media: bytesOf(message.media.payload) });
      else if (message.event === "mark") port.postMessage({ mark: message.mark.name });
      else if (message.event === "clear") port.postMessage({ clear: true });
    }

    report(said) {
      if (said.frame) this.frame(said);
      else if (said.mark) this.send({ event: "mark", mark: { name: said.mark } });
      else if (said.cleared) announce("cleared", said);
      else if (said.clip) this.beginClip(said);
    }

    frame(said) {
      if (!this.open) return;
      this.send({ event: "media", media: {
        track: "inbound", chunk: String(this.frames + 1), timestamp: String(this.frames * FRAME_MS), payload: base64(said.frame),
      } });
      if (said.level > LOUD) this.spoke = [this.spoke && this.frames - this.spoke[1] < 50 ? this.spoke[0] : this.frames, this.frames];
      this.frames += 1;
      announce("frame", said);
    }

    // A typed line, in the local voice.
    async say(text) {
      const speech = await api("/api/phone/softphone/speech", { text });
      const id = randomId();
      this.clips.set(id, speech);
      this.sound.node.port.postMessage({ clip: bytesOf(speech.audio), id });
    }

    // It is in the frame that is sent next: its words go ahead of it.
    beginClip({ clip }) {
      const { text, words } = this.clips.get(clip);
      this.clips.delete(clip);
      const at = this.frames * FRAME_MS;
      if (this.given) this.giveWords(text, words.map(([from, to]) => [at + from, at + to]));
    }

    // What the browser has recognised: shared out over the speech that was heard last.
    recognised(text) {
      const words = text.trim().split(/\s+/).filter(Boolean);
      if (!words.length) return;
      const now = this.frames * FRAME_MS;
      const [from, to] = this.spoke ? [this.spoke[0] * FRAME_MS, (this.spoke[1] + 1) * FRAME_MS] : [now - 300 * words.length, now];
      const each = (to - from) / words.length;
      this.giveWords(words.join(" "), words.map((_, index) => [from + index * each, from + (index + 1) * each]));
    }

    giveWords(text, words) {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ event: "words", text, words }));
    }

    press(digit) { this.send({ event: "dtmf", dtmf: { track: "inbound_track", digit } }); }

    hangUp() {
      this.send({ event: "stop", stop: { accountSid: "browser", callSid: this.ids.callSid } });
      this.socket.close(1000);
    }
  }

  // -- a call that is listened to -------------------------------------------------------------------------

  class Listening {
    constructor(sound, callId) {
      this.sound = sound;
      this.path = `/api/phone/calls/${callId}/listen`;
      sound.node.port.onmessage = ({ data }) => { if (data.frame) announce("frame", data); };
      this.over = false;
      this.join();
    }

    // Refused while it rings, and where another process of the server has the call: a later try may succeed.
    join() {
      this.socket = new WebSocket(socketUrl(this.path));
      this.socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
      this.socket.onclose = ({ code }) => {
        if (!this.over && (code === 4409 || code === 4421)) setTimeout(() => this.join(), 150);
      };
    }

    hear({ event, media }) {
      if (event === "media") this.sound.node.port.postMessage({ piece: bytesOf(media.payload), at: 8 * Number(media.timestamp) });
    }

    leave() {
      this.over = true;
      this.socket.close();
    }
  }

  return { openSound, closeSound, Line, Listening };
})();
