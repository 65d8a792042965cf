// The sound of a phone line, on the audio clock: microphone to 8 kHz μ-law in frames of 20 ms, and what the agent
// says back to the loudspeaker, with marks and clear as Twilio has them. Runs as an AudioWorklet.
//
// In:  {media} μ-law bytes to play, {mark} a name, {clear}, {clip, id} μ-law bytes to be said in place of the
//      microphone, {mute}; {piece, at} μ-law bytes of a call that is listened to, and their sample on its clock.
// Out: {frame, heard, level, loudness, at} every 20 ms, {mark}, {cleared}, {clip}: its id, as it begins.
"use strict";

const RATE = 8000;
const FRAME = 160;
const SILENCE = 0xff;
const NOISE = 0.0014; // peak, -62 dBFS: a line is never digitally silent, and a voice detector wakes up faster
const DELAY = 4000; // samples behind a call that is listened to: its two sides come up to 0.3 s apart
const BIAS = 0x84;
const CLIP = 32635;

// ITU-T G.711
const DECODED = Float32Array.from({ length: 256 }, (_, code) => {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + BIAS) << ((bits >> 4) & 7)) - BIAS;
  return (bits & 0x80 ? -magnitude : magnitude) / 32768;
});

function encoded(sample) {
  const pcm = Math.max(-1, Math.min(1, sample)) * 32768;
  const magnitude = Math.min(Math.abs(pcm), CLIP) + BIAS;
  const exponent = Math.floor(Math.log2(magnitude)) - 7;
  const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return ~((pcm < 0 ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff;
}

// A windowed sinc: `cutoff` in parts of the rate it runs over, `half` its reach to each side, in that rate's samples.
class Kernel {
  constructor(cutoff, half) {
    this.half = half;
    this.fine = 64;
    this.table = Float32Array.from({ length: half * this.fine + 2 }, (_, index) => {
      const at = index / this.fine;
      const angle = 2 * Math.PI * cutoff * at;
      const window = at >= half ? 0 : 0.5 + 0.5 * Math.cos((Math.PI * at) / half);
      return 2 * cutoff * (at === 0 ? 1 : Math.sin(angle) / angle) * window;
    });
  }

  at(distance) { return this.table[Math.round(Math.abs(distance) * this.fine)] || 0; }
}

// Reads one rate at another: `add` takes samples, `take` gives the next one, or null until more have come.
class Resampler {
  constructor(from, to) {
    this.step = from / to;
    this.kernel = new Kernel((0.46 * Math.min(from, to)) / from, Math.ceil(10 * Math.max(1, from / to)));
    this.ring = new Float32Array(1 << Math.ceil(Math.log2(2 * this.kernel.half + 4)));
    this.count = 0;
    this.next = 0;
  }

  get wants() { return this.count <= Math.floor(this.next) + this.kernel.half; }

  add(sample) {
    this.ring[this.count & (this.ring.length - 1)] = sample;
    this.count += 1;
  }

  take() {
    if (this.wants) return null;
    const { half } = this.kernel;
    let sum = 0;
    for (let at = Math.max(0, Math.ceil(this.next - half)); at <= this.next + half; at += 1) {
      sum += this.ring[at & (this.ring.length - 1)] * this.kernel.at(at - this.next);
    }
    this.next += this.step;
    return sum;
  }
}

function loudness(bytes) {
  let sum = 0;
  for (const code of bytes) sum += DECODED[code] ** 2;
  return bytes.length ? Math.sqrt(sum / bytes.length) : 0;
}

class PhoneLine extends AudioWorkletProcessor {
  constructor() {
    super();
    this.down = new Resampler(sampleRate, RATE);
    this.up = new Resampler(RATE, sampleRate);
    this.queue = []; // what is to be played: μ-law bytes, or the name of a mark
    this.played = 0; // of the first bytes in it
    this.mixed = null; // two sides of a call, added up on its clock, from `read` on
    this.read = 0;
    this.clips = [];
    this.spoken = 0;
    this.frame = new Uint8Array(FRAME);
    this.filled = 0;
    this.energy = 0;
    this.heard = [];
    this.muted = false;
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  obey(message) {
    if (message.media) this.queue.push(message.media);
    else if (message.mark) this.queue.push(message.mark);
    else if (message.piece) this.mix(message.piece, message.at);
    else if (message.clip) this.clips.push(message);
    else if (message.clear) this.clear();
    else if ("mute" in message) this.muted = message.mute;
  }

  clear() {
    const marks = this.queue.filter((each) => typeof each === "string");
    this.queue = [];
    this.played = 0;
    this.port.postMessage({ cleared: true, at: currentTime });
    for (const mark of marks) this.port.postMessage({ mark });
  }

  mix(bytes, at) {
    if (!this.mixed || at - this.read > this.mixed.length / 2) {
      this.mixed = new Float32Array(1 << 17);
      this.read = at - DELAY;
    }
    // Later than ever before: the rest is heard as much later.
    if (at < this.read) this.read = at - DELAY / 4;
    for (let index = 0; index < bytes.length; index += 1) this.mixed[(at + index) & (this.mixed.length - 1)] += DECODED[bytes[index]];
  }

  // The next sample of the agent's.
  play() {
    if (this.mixed) {
      const at = this.read & (this.mixed.length - 1);
      const sample = this.mixed[at];
      this.mixed[at] = 0;
      this.read += 1;
      this.heard.push(encoded(sample));
      return sample;
    }
    while (typeof this.queue[0] === "string") this.port.postMessage({ mark: this.queue.shift() });
    const bytes = this.queue[0];
    if (!bytes) {
      this.heard.push(SILENCE);
      return 0;
    }
    const code = bytes[this.played];
    this.played += 1;
    if (this.played === bytes.length) {
      this.queue.shift();
      this.played = 0;
    }
    this.heard.push(code);
    return DECODED[code];
  }

  // The next sample of the callee's; `sample` is the microphone's.
  speak(sample) {
    this.energy += sample * sample;
    const clip = this.clips[0];
    let code;
    if (clip) {
      if (this.spoken === 0) this.port.postMessage({ clip: clip.id });
      code = clip.clip[this.spoken];
      this.spoken += 1;
      if (this.spoken >= clip.clip.length) {
        this.clips.shift();
        this.spoken = 0;
      }
    } else code = encoded((this.muted ? 0 : sample) + (Math.random() * 2 - 1) * NOISE);
    this.frame[this.filled] = code;
    this.filled += 1;
    if (this.filled < FRAME) return;
    const heard = Uint8Array.from(this.heard);
    this.port.postMessage({
      frame: this.frame, heard, level: Math.sqrt(this.energy / FRAME), loudness: loudness(heard), at: currentTime,
    });
    this.frame = new Uint8Array(FRAME);
    this.filled = 0;
    this.energy = 0;
    this.heard = [];
  }

  process(inputs, outputs) {
    const output = outputs[0][0];
    const input = inputs[0][0];
    for (let index = 0; index < output.length; index += 1) {
      this.down.add(input ? input[index] : 0);
      for (let sample = this.down.take(); sample !== null; sample = this.down.take()) this.speak(sample);
      while (this.up.wants) this.up.add(this.play());
      output[index] = this.up.take();
    }
    return true;
  }
}

registerProcessor("phone-line", PhoneLine);
