// Calls that go on: their events as they happen, their sound, words into them.
"use strict";

const live = (() => {
  // Events, while the page is looked at: a browser opens six connections to a host, whatever the number of its tabs.
  function follow(url, names, heard) {
    let source = null;
    const open = () => {
      if (source || document.hidden) return;
      source = new EventSource(url);
      for (const name of names) source.addEventListener(name, (event) => heard(name, JSON.parse(event.data)));
    };
    const close = () => { source?.close(); source = null; };
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    window.addEventListener("pagehide", close);
    open();
    return close;
  }

  // At most once in so long, and then once more where something came meanwhile.
  function atMostEvery(ms, act) {
    let waiting = null, last = 0;
    return () => {
      if (waiting) return;
      waiting = setTimeout(() => { waiting = null; last = Date.now(); act(); }, Math.max(0, last + ms - Date.now()));
    };
  }

  const LINEAR = Float32Array.from({ length: 256 }, (_, code) => {
    const bits = ~code & 0xff;
    const size = (((bits & 0x0f) << 3) + 0x84) << ((bits & 0x70) >> 4);
    return (bits & 0x80 ? 0x84 - size : size - 0x84) / 32768;
  });
  const DELAY = 0.6; // seconds: the agent's side is known later than the callee's
  const TRIES = 12; // any process may answer, one has the line

  // Both sides' sound of one call; `level(track, peak)` of each piece, `over(words)` at its end.
  class Listening {
    constructor(callId, level, over) {
      Object.assign(this, { callId, level, over, left: TRIES, base: null });
      this.audio = new AudioContext({ sampleRate: 8000 });
      this.open();
    }
    open() {
      this.socket = new WebSocket(socketUrl(`/api/phone/calls/${this.callId}/listen`));
      this.socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.event === "media") this.play(message.media);
      };
      this.socket.onclose = ({ code, reason }) => {
        if (this.stopped) return;
        if (code === 4421 && this.left-- > 0) setTimeout(() => this.stopped || this.open(), 150);
        else this.stop(code === 1000 ? "" : `The call cannot be listened to: ${reason || "the connection was lost"}.`);
      };
    }
    play({ track, timestamp, payload }) {
      const mulaw = atob(payload);
      const buffer = this.audio.createBuffer(1, mulaw.length, 8000);
      const pcm = buffer.getChannelData(0);
      let peak = 0;
      for (let i = 0; i < mulaw.length; i++) {
        pcm[i] = LINEAR[mulaw.charCodeAt(i)];
        peak = Math.max(peak, Math.abs(pcm[i]));
      }
      const at = Number(timestamp) / 1000, now = this.audio.currentTime;
      if (this.base === null) this.base = now + DELAY - at;
      if (this.base + at < now) this.base = now + 0.05 - at;
      const source = this.audio.createBufferSource();
      source.buffer = buffer;
      source.connect(this.audio.destination);
      source.start(this.base + at);
      this.level(track, peak);
    }
    stop(words = "") {
      if (this.stopped) return;
      this.stopped = true;
      this.socket.close();
      this.audio.close();
      this.over(words);
    }
  }

  // One call is listened to at a time, muted until its button is pressed.
  let listening = null;
  const meters = () => document.querySelectorAll("meter[data-track]");
  function show() {
    for (const button of document.querySelectorAll("[data-listen]")) {
      const on = listening?.callId === button.dataset.listen;
      button.setAttribute("aria-pressed", on);
      button.textContent = on ? "Mute" : "Listen";
    }
    if (!listening) for (const meter of meters()) meter.value = 0;
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-listen]");
    if (!button) return;
    const callId = button.dataset.listen, again = listening?.callId === callId;
    listening?.stop();
    if (!again) {
      notice("");
      const level = (track, peak) => { for (const meter of meters()) if (meter.dataset.track === track) { meter.value = peak; meter.dataset.peak = Math.max(peak, meter.dataset.peak || 0); } };
      listening = new Listening(callId, level, (words) => { listening = null; if (words) notice(words); show(); });
    }
    show();
  });
  document.addEventListener("htmx:afterSwap", show);

  // A supervisor's act: a form whose fields are the request's. What was typed stays where it is refused.
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-act]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button"), said = form.querySelector("output");
    const body = Object.fromEntries([...form.elements].filter((field) => field.name).map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]));
    form.dataset.key ||= randomId();
    button.disabled = true;
    try {
      notice("");
      const done = await api(`/api/phone/calls/${form.dataset.call}/${form.dataset.act}`, body, "POST", { "Idempotency-Key": form.dataset.key });
      delete form.dataset.key;
      form.reset();
      said.textContent = `${done.result[0].toUpperCase()}${done.result.slice(1)}.`;
    } catch (error) {
      if (error.status && error.status < 500) delete form.dataset.key; // refused, not lost: it may be changed
      said.textContent = "";
      notice(error.message);
    }
    button.disabled = false;
  });

  return { follow, atMostEvery };
})();
