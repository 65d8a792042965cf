// One call: its recording beside its transcript. Words are placed by their length within their turn.
"use strict";

(() => {
  const player = document.querySelector(".player");
  const turns = [...document.querySelectorAll(".turn")];
  const words = [];
  for (const turn of turns) {
    const said = turn.querySelector(".said");
    const start = Number(turn.dataset.start);
    const parts = said.textContent.split(/(\s+)/);
    const letters = parts.reduce((sum, part) => sum + (part.trim() ? part.length + 1 : 0), 0) || 1;
    const end = turn.dataset.end === "" ? start + letters * 65 : Number(turn.dataset.end);
    let passed = 0;
    said.replaceChildren(...parts.map((part) => {
      if (!part.trim()) return document.createTextNode(part);
      const word = document.createElement("span");
      word.className = "word";
      word.textContent = part;
      word.dataset.at = Math.round(start + ((end - start) * passed) / letters);
      passed += part.length + 1;
      words.push(word);
      return word;
    }));
  }
  if (!player) return;
  const css = getComputedStyle(document.documentElement);
  const color = (name) => css.getPropertyValue(name).trim();
  const play = document.getElementById("play");
  const clock = document.getElementById("clock");
  const side = (name) => ({ waveColor: color(`--${name}-soft`), progressColor: color(`--${name}`), height: 56 });
  const wave = WaveSurfer.create({
    container: "#wave",
    url: player.dataset.recording,
    cspNonce: document.querySelector("meta[name=nonce]").content,
    splitChannels: [side("callee"), side("agent")],
    normalize: true, barWidth: 2, barGap: 1, barRadius: 2, cursorColor: color("--text"), dragToSeek: true,
  });
  const told = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  let spoken = null;
  wave.on("timeupdate", (seconds) => {
    clock.textContent = `${told(seconds)} / ${told(wave.getDuration())}`;
    const ms = seconds * 1000 + 1;
    let now = null;
    for (const word of words) if (Number(word.dataset.at) <= ms) now = word;
    if (now === spoken) return;
    spoken?.classList.remove("now");
    now?.classList.add("now");
    spoken = now;
  });
  wave.on("ready", () => { player.dataset.ready = ""; clock.textContent = `0:00 / ${told(wave.getDuration())}`; });
  wave.on("play", () => { play.textContent = "Pause"; });
  wave.on("pause", () => { play.textContent = "Play"; });
  wave.on("error", () => {
    const problem = document.getElementById("player-problem");
    problem.textContent = "The recording cannot be loaded: it was erased, or lies on another server.";
    problem.hidden = false;
    play.disabled = true;
  });
  play.addEventListener("click", () => wave.playPause());
  document.addEventListener("click", (event) => {
    const at = event.target.closest("[data-at]");
    if (!at) return;
    wave.setTime(Number(at.dataset.at) / 1000);
    wave.play();
  });
})();
