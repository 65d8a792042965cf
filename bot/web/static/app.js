// What all pages share: times in the reader's zone, buttons that ask the API, errors in words; small parts of scripts.
"use strict";

const csrf = document.querySelector("meta[name=csrf]").content;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const newcomer = !/(^|; )zone=/.test(document.cookie);
if (zone) document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=strict`;
// What the server counts by day, it counts by the reader's: at the first visit it did not know.
if (newcomer && zone !== "UTC" && /(^|; )zone=/.test(document.cookie) && document.querySelector("[data-zoned]")) location.reload();

function tellTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-told])")) {
    const at = new Date(time.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    if (time.dataset.clock !== undefined) time.textContent = at.toLocaleTimeString();
    else time.textContent = at.toLocaleString(undefined, today ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
    time.title = at.toISOString();
    time.dataset.told = "";
  }
  for (const number of root.querySelectorAll("data[value]")) number.textContent = Number(number.value).toLocaleString();
}

function notice(words) {
  const place = document.getElementById("notice");
  place.textContent = words;
  place.hidden = !words;
}

// The API's answer as JSON; an Error with its own words where it refuses.
async function api(path, body, method = "POST", more = {}) {
  const headers = { "X-CSRF-Token": csrf, ...more };
  if (body !== undefined && !(body instanceof FormData)) headers["Content-Type"] = "application/json";
  const sent = body === undefined || body instanceof FormData ? body : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: sent });
  } catch {
    throw new Error("The server cannot be reached. Does it still run?");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.error?.message || `The server answered ${answer.status}.`), { said, status: answer.status });
  return said;
}

const socketUrl = (path) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;

// 32 hex digits. Not randomUUID: browsers have that on https and localhost alone.
const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// A variable of app.css, as it is now.
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// An element with its content, a text or nodes, and its attributes.
function node(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat());
  return made;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-post]");
  if (!button) return;
  if (button.dataset.sure && !confirm(button.dataset.sure)) return;
  button.disabled = true;
  try {
    notice("");
    await api(button.dataset.post, undefined, button.dataset.method || "POST");
    if (button.dataset.then) location.href = button.dataset.then;
    else if (button.closest("[hx-trigger]")) htmx.trigger(button.closest("[hx-trigger]"), "refresh");
    else if (button.dataset.stay === undefined) location.reload();
  } catch (error) {
    notice(error.message);
    button.disabled = false;
  }
});

document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRF-Token"] = csrf; });
document.addEventListener("htmx:afterSwap", () => tellTimes(document));
tellTimes(document);
