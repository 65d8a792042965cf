// The softphone: asks for a call, holds it or listens to it, and shows it as it happens.
"use strict";

(() => {
  const STAGES = ["vad", "stt", "turn", "llm", "sentence", "tts", "line"];
  const form = document.getElementById("setup");
  const panel = document.getElementById("panel");
  const field = (name) => form.elements[name];
  const part = (name) => document.getElementById(name);
  const Recognition = window.SpeechRecognition || window.webkitSpeechRecognition;
  let call = null; // the one that goes on

  // -- the form -----------------------------------------------------------------------------------------

  const scenario = () => field("scenario").selectedOptions[0].dataset;
  const wordsBy = () => form.querySelector("[name=words]:checked")?.value ?? "typed";

  function fitForm() {
    const chosen = scenario();
    const inbound = chosen.direction === "inbound";
    form.querySelector("[data-part=action]").hidden = inbound;
    for (const name of ["action", "context", "callee_name", "organization"]) field(name).placeholder = chosen[name] || "";
    const heard = form.querySelector("[value=heard]");
    heard.disabled = !chosen.hears;
    part("heard-why").textContent = chosen.hears ? `${chosen.hears} listens` : "needs DEEPGRAM_API_KEY, or moonshine";
    const recognised = form.querySelector("[value=recognised]");
    recognised.disabled = !Recognition;
    part("recognised-why").textContent = Recognition ? "may send the sound to its maker" : "this browser has none";
    const by = form.querySelector("[name=words]:checked");
    if (!by || by.disabled) form.querySelector(chosen.hears ? "[value=heard]" : "[value=typed]").checked = true;
    part("about-callee").textContent = field("callee").selectedOptions[0].dataset.about;
    part("consent").hidden = wordsBy() !== "recognised";
    part("devices").hidden = wordsBy() === "typed";
    part("go").textContent = inbound ? "Call the agent" : "Let the agent call me";
  }

  // What is left empty is the scenario's example.
  function wanted() {
    const chosen = scenario();
    const said = (name) => field(name).value.trim() || chosen[name] || undefined;
    const body = { scenario: field("scenario").value, context: said("context") };
    for (const name of ["callee_name", "agent_name", "organization"]) body[name] = said(name);
    if (chosen.direction !== "inbound") body.action = said("action");
    return body;
  }

  async function listDevices() {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((each) => each.kind === "audioinput");
    const kept = field("device").value;
    field("device").replaceChildren(new Option("The system's own", ""), ...devices.filter((each) => each.deviceId && each.label)
      .map((each) => new Option(each.label, each.deviceId)));
    if ([...field("device").options].some((option) => option.value === kept)) field("device").value = kept;
  }

  // -- words by the browser's own speech recognition -------------------------------------------------------

  function recogniseSpeech(line, language) {
    const recognition = new Recognition();
    Object.assign(recognition, { lang: language, continuous: true, interimResults: true });
    recognition.onresult = (event) => {
      for (let index = event.resultIndex; index < event.results.length; index += 1) {
        const result = event.results[index];
        if (result.isFinal) line.recognised(result[0].transcript);
        part("interim").textContent = result.isFinal ? "" : result[0].transcript;
      }
    };
    recognition.onerror = ({ error }) => {
      if (error === "no-speech" || error === "aborted") return;
      line.deaf = true;
      notice(`This browser's speech recognition does not work here (${error}): type what you say.`);
    };
    recognition.onend = () => { if (call?.line === line && !line.deaf) recognition.start(); };
    recognition.start();
    return recognition;
  }

  // -- what happens in the call ----------------------------------------------------------------------------

  class Talk {
    constructor(watched) {
      this.names = { agent: "Agent", callee: watched ? "Callee" : "You", recording: "Recording", business: "Business" };
      this.turns = new Map();
      this.cut = new Map(); // by turn: words that were not heard
      this.waiting = null; // the times of a reply that has no turn yet
      this.longest = 1000;
      this.over = new Promise((resolve) => { this.ended = resolve; });
      part("turns").replaceChildren();
      part("legend").hidden = true;
    }

    turn(index, speaker) {
      let item = this.turns.get(index);
      if (!item) {
        const meta = node("div", node("strong", this.names[speaker]), { class: "meta" });
        item = node("li", [meta, node("p", "", { class: "said" })], { class: `turn ${speaker}` });
        const after = [...this.turns.keys()].filter((each) => each > index).sort((a, b) => a - b)[0];
        part("turns").insertBefore(item, after === undefined ? null : this.turns.get(after));
        this.turns.set(index, item);
        part("nothing").hidden = true;
      }
      return item;
    }

    words({ turn, text }, speaker) {
      const item = this.turn(turn, speaker);
      item.querySelector(".said").textContent = text;
      if (speaker === "agent" && this.waiting) {
        this.bar(item, this.waiting);
        this.waiting = null;
      }
      part("end").scrollIntoView({ block: "nearest" });
    }

    completed(event) {
      this.words(event, event.speaker);
      const item = this.turn(event.turn, event.speaker);
      item.className = `turn ${event.speaker}`;
      item.querySelector("strong").textContent = this.names[event.speaker];
      item.dataset.complete = "";
      if (event.interrupted && !item.querySelector(".badge")) {
        item.querySelector(".meta").append(node("span", "cut off", { class: "badge warn" }));
      }
      if (event.interrupted && this.cut.has(event.turn)) {
        item.querySelector(".said").append(" ", node("s", this.cut.get(event.turn)));
      }
      part("aloud").textContent = `${this.names[event.speaker]}: ${event.text}`;
    }

    bar(item, times) {
      const parts = STAGES.filter((stage) => times[`${stage}_ms`]).map((stage) => [stage, times[`${stage}_ms`]]);
      const total = parts.reduce((sum, [, ms]) => sum + ms, 0);
      if (!total) return;
      this.longest = Math.max(this.longest, total);
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", parts.map(([stage, ms]) => `${stage} ${Math.round(ms)} ms`).join(", "));
      let x = 0;
      for (const [stage, ms] of parts) {
        const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        for (const [name, value] of Object.entries({ class: `s-${stage}`, x, y: 0, width: ms, height: 10 })) box.setAttribute(name, value);
        const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
        title.textContent = `${stage} ${Math.round(ms)} ms`;
        box.append(title);
        svg.append(box);
        x += ms;
      }
      const told = node("span", `${Math.round(times.voice_to_voice_ms ?? total)} ms`, { class: "num" });
      item.append(node("div", [svg, told], { class: "latency" }));
      for (const each of part("turns").querySelectorAll("svg")) each.setAttribute("viewBox", `0 0 ${this.longest} 10`);
      part("legend").hidden = false;
    }

    happened(name, event) {
      if (name === "callee_words") this.words(event, "callee");
      else if (name === "agent_words") this.words(event, "agent");
      else if (name === "agent_cut") this.cut.set(event.turn, event.text);
      else if (name === "turn_completed") this.completed(event);
      else if (name === "reply_timed") this.waiting = event;
      else if (name === "turn_passed") this.passed(event);
      else if (name === "status_changed") this.status(event);
      else if (name === "answer_detected") part("who").textContent = ` · ${event.answered_by}`;
      else if (name === "tool_used") this.noted(`${event.name.replaceAll("_", " ")}`);
      else if (name === "vendor_trouble") this.noted(`${event.vendor}: ${event.what.replaceAll("_", " ")}`);
      else if (name === "outcome_written") this.outcome(event);
    }

    passed({ holder, speaking }) {
      const words = { agent: speaking ? "The agent speaks" : "The agent thinks", callee: speaking ? `${this.names.callee === "You" ? "You speak" : "The callee speaks"}` : "A pause" };
      part("holder").textContent = holder ? words[holder] : "Either may speak";
    }

    status({ status, ended_reason }) {
      part("status").textContent = (ended_reason || status).replaceAll("_", " ").replaceAll("-", " ");
      if (["completed", "busy", "no-answer", "failed", "canceled"].includes(status)) this.ended();
    }

    noted(words) {
      part("turns").append(node("li", words, { class: "noted" }));
    }

    outcome({ reached_goal, summary }) {
      part("outcome").hidden = false;
      part("outcome-badge").textContent = reached_goal ? "goal reached" : "goal not reached";
      part("outcome-badge").className = `badge ${reached_goal ? "good" : "plain"}`;
      part("outcome-summary").textContent = summary;
    }
  }

  const EVENTS = ["callee_words", "agent_words", "agent_cut", "turn_completed", "reply_timed", "turn_passed", "status_changed", "answer_detected", "tool_used", "vendor_trouble", "outcome_written"];

  let events = null; // of the call that is shown

  function follow(callId, talk) {
    events?.close();
    const only = EVENTS.map((name) => `only=${name}`).join("&");
    const stream = new EventSource(`/api/phone/calls/${callId}/events?${only}&only=stream_ended`);
    for (const name of EVENTS) stream.addEventListener(name, ({ data }) => talk.happened(name, JSON.parse(data)));
    stream.addEventListener("stream_ended", () => { talk.ended(); stream.close(); });
    events = stream;
  }

  // -- a call ----------------------------------------------------------------------------------------------

  function show(state) {
    document.body.dataset.call = state;
    for (const each of document.querySelectorAll("[data-when]")) each.hidden = !each.dataset.when.split(" ").includes(state);
    for (const each of form.elements) each.disabled = state !== "idle" && state !== "over";
    if (state === "idle" || state === "over") fitForm();
  }

  function fresh(watched, callId) {
    notice("");
    part("status").textContent = "begins";
    part("who").textContent = "";
    part("holder").textContent = "";
    part("outcome").hidden = true;
    part("interim").textContent = "";
    part("nothing").hidden = false;
    part("pressed").textContent = "";
    part("record").href = `/calls/${callId}`;
    panel.dataset.callId = callId;
    const talk = new Talk(watched);
    follow(callId, talk);
    part("mute").hidden = part("mic").hidden = watched || wordsBy() === "typed";
    part("typing").hidden = part("keypad").hidden = watched;
    part("agent-name").textContent = watched ? "Sound" : "Agent";
    return { talk, callId };
  }

  async function hold() {
    const by = wordsBy();
    if (by === "recognised" && !field("agreed").checked) {
      field("agreed").focus();
      throw new Error("Agree first that this browser may send the sound to its maker to be recognised, or type.");
    }
    const sound = await phoneStream.openSound(by === "typed" ? null : { device: field("device").value });
    if (by !== "typed") listDevices(); // with their names, now that one of them is allowed
    try {
      const placed = await api("/api/phone/softphone/calls", { ...wanted(), words: by === "heard" ? "heard" : "given" });
      const line = new phoneStream.Line(sound, placed, by !== "heard");
      call = { ...fresh(false, placed.call_id), line, sound };
      if (by === "recognised") call.recognition = recogniseSpeech(line, scenario().language);
      mute(false);
      show("talking");
      part(by === "typed" ? "line-text" : "hang-up").focus();
      const { code, reason } = await line.over;
      if (code !== 1000 && code !== 1005) notice(`The line was lost: ${reason || `code ${code}`}.`);
    } finally {
      phoneStream.closeSound(sound);
      call?.recognition?.stop();
    }
  }

  async function watch() {
    const sound = await phoneStream.openSound(null);
    let listening;
    try {
      const placed = await api("/api/phone/softphone/watch", { ...wanted(), callee: field("callee").value || undefined });
      call = { ...fresh(true, placed.call_id), sound };
      listening = new phoneStream.Listening(sound, placed.call_id);
      show("talking");
      part("hang-up").focus();
      await call.talk.over;
      await new Promise((resolve) => { setTimeout(resolve, 800); }); // what is heard is half a second behind
    } finally {
      listening?.leave();
      phoneStream.closeSound(sound);
    }
  }

  async function begin(holding) {
    show("begins");
    try {
      await holding();
      show("over");
      part("again").focus();
    } catch (error) {
      notice(error.message);
      show("idle");
    } finally {
      call = null;
    }
  }

  function mute(muted) {
    part("mute").setAttribute("aria-pressed", String(muted));
    call?.sound.node.port.postMessage({ mute: muted });
  }

  form.addEventListener("change", (event) => {
    fitForm();
    if (event.target === field("scenario")) for (const name of ["action", "context"]) field(name).value = "";
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); begin(event.submitter?.id === "go" ? hold : watch); });
  part("hang-up").addEventListener("click", async () => {
    if (call?.line) call.line.hangUp();
    else if (call?.callId) await api(`/api/phone/calls/${call.callId}/hangup`).catch((error) => notice(error.message));
  });
  part("mute").addEventListener("click", () => mute(part("mute").getAttribute("aria-pressed") !== "true"));
  part("again").addEventListener("click", () => { show("idle"); field("scenario").focus(); });
  part("keys").addEventListener("click", ({ target }) => {
    if (!target.dataset.key || !call?.line) return;
    call.line.press(target.dataset.key);
    part("pressed").textContent += target.dataset.key;
  });
  part("typing").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = part("line-text").value.trim();
    if (!text || !call?.line) return;
    part("line-text").value = "";
    try {
      await call.line.say(text);
    } catch (error) {
      part("line-text").value = text;
      notice(error.message);
    }
  });
  let beat = 0;
  document.addEventListener("phone:frame", ({ detail }) => {
    beat += 1;
    if (beat % 4) return;
    part("mic-level").value = Math.min(1, detail.level * 6);
    part("agent-level").value = Math.min(1, detail.loudness * 6);
  });
  navigator.mediaDevices?.addEventListener("devicechange", listDevices);
  if (navigator.mediaDevices) listDevices();
  show("idle");
})();
