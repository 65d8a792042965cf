// One call: its recording beside its transcript; while it goes on, its words as they come.
"use strict";

(() => {
  const letters = (part) => (part.trim() ? part.length + 1 : 0);
  let words = [];

  // Each word with its place: the record's own where it has one, else by its length within the turn.
  function placeWords() {
    words = [];
    for (const turn of document.querySelectorAll(".turn[data-start]")) {
      const said = turn.querySelector(".said");
      const start = Number(turn.dataset.start);
      const known = (turn.dataset.words || "").split(",").filter(Boolean).map(Number);
      const parts = said.textContent.split(/(\s+)/);
      const all = parts.reduce((sum, part) => sum + letters(part), 0) || 1;
      const end = turn.dataset.end === "" ? start + all * 65 : Number(turn.dataset.end);
      let passed = 0, number = 0;
      said.replaceChildren(...parts.map((part) => {
        if (!part.trim()) return document.createTextNode(part);
        const word = document.createElement("span");
        word.className = "word";
        word.textContent = part;
        word.dataset.at = known[number] ?? Math.round(start + ((end - start) * passed) / all);
        passed += letters(part);
        number += 1;
        words.push(word);
        return word;
      }));
    }
    words.sort((one, other) => one.dataset.at - other.dataset.at);
  }

  let wave = null;
  function setUpRecording() {
    const player = document.querySelector(".player");
    placeWords();
    if (!player || player.dataset.made !== undefined) return;
    player.dataset.made = "";
    wave?.destroy();
    const play = document.getElementById("play");
    const clock = document.getElementById("clock");
    const side = (name) => ({ waveColor: color(`--${name}-soft`), progressColor: color(`--${name}`), height: 56 });
    const made = wave = WaveSurfer.create({
      container: "#wave",
      url: player.dataset.recording,
      cspNonce: document.querySelector("meta[name=nonce]").content,
      splitChannels: [side("callee"), side("agent")],
      normalize: true, barWidth: 2, barGap: 1, barRadius: 2, cursorColor: color("--text"), dragToSeek: true,
    });
    const told = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
    let spoken = null;
    made.on("timeupdate", (seconds) => {
      clock.textContent = `${told(seconds)} / ${told(made.getDuration())}`;
      const ms = seconds * 1000 + 1;
      let now = null;
      for (const word of words) if (Number(word.dataset.at) <= ms) now = word;
      if (now === spoken) return;
      spoken?.classList.remove("now");
      now?.classList.add("now");
      spoken = now;
    });
    made.on("ready", () => { player.dataset.ready = ""; clock.textContent = `0:00 / ${told(made.getDuration())}`; });
    made.on("play", () => { play.textContent = "Pause"; });
    made.on("pause", () => { play.textContent = "Play"; });
    made.on("error", () => {
      const problem = document.getElementById("player-problem");
      problem.textContent = "The recording cannot be loaded: it was erased, or lies on another server.";
      problem.hidden = false;
      play.disabled = true;
    });
    play.addEventListener("click", () => made.playPause());
  }

  document.addEventListener("click", (event) => {
    const at = event.target.closest("[data-at]");
    if (!at || !wave || !document.querySelector(".player")) return;
    wave.setTime(Number(at.dataset.at) / 1000);
    wave.play();
  });

  // -- while it goes on -------------------------------------------------------------------------------

  const page = document.getElementById("call");
  const open = new Map(); // turn → what is known of it, until the page has it from the server
  const panel = document.getElementById("live");
  const HOLDERS = { "callee true": "The callee speaks", "callee false": "The callee pauses", "agent true": "The agent speaks", "agent false": "The agent's reply is being made" };

  function showWords({ turn, text, start_ms: start }, speaker) {
    let item = document.getElementById(`turn-${turn}`);
    if (!item) {
      item = document.getElementById("live-turn").content.firstElementChild.cloneNode(true);
      item.id = `turn-${turn}`;
      item.classList.add(speaker);
      Object.assign(item.dataset, { start, end: "", live: "" });
      item.querySelector("strong").textContent = speaker === "agent" ? "Agent" : "Callee";
      document.querySelector(".turns").append(item);
      document.getElementById("no-words")?.remove();
    }
    const said = item.querySelector(".said");
    if (item.dataset.live !== undefined || text.length > said.textContent.length) said.textContent = text;
  }

  const refresh = live.atMostEvery(2000, () => htmx.trigger("#call", "refresh"));
  let close = () => {}, answered = null;
  function heard(name, event) {
    if (name === "callee_words" || name === "agent_words") {
      const speaker = name === "agent_words" ? "agent" : "callee";
      open.set(event.turn, [event, speaker]);
      showWords(event, speaker);
      return;
    }
    if (name === "turn_passed") {
      panel.querySelector("#holder").textContent = HOLDERS[`${event.holder} ${event.speaking}`] || "Nobody speaks";
      return;
    }
    if (name === "answer_detected") answered = event;
    if (name === "stream_ended") close();
    refresh();
  }

  document.addEventListener("htmx:afterSwap", () => {
    const final = document.getElementById("call").dataset.final !== undefined;
    if (final) {
      open.clear();
      panel?.remove();
    }
    setUpRecording();
    const who = document.getElementById("who-answered");
    if (!final && answered) who.textContent = `${answered.answered_by}: ${answered.why}`;
    for (const [turn, [event, speaker]] of open) {
      const kept = document.getElementById(`turn-${turn}`);
      if (kept && kept.dataset.end !== "") open.delete(turn);
      else showWords(event, speaker);
    }
  });
  setUpRecording();
  if (page.dataset.final === undefined) {
    const names = ["status_changed", "answer_detected", "callee_words", "agent_words", "turn_completed", "turn_passed", "tool_used", "vendor_trouble", "outcome_written", "webhook_tried", "stream_ended"];
    close = live.follow(`/api/phone/calls/${page.dataset.call}/events`, names, heard);
  }
})();
