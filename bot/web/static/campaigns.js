// A new campaign: what the API says of a dry run, then the same upload in earnest. And results as one JSON file.
"use strict";

(() => {
  const form = document.getElementById("campaign");
  const preview = document.getElementById("preview");
  let key = "";

  function table(name, heads, rows) {
    const body = rows.map((cells) => node("tr", cells.map((cell) => node("td", cell ?? "–", {}))));
    const made = node("table", [
      node("thead", node("tr", heads.map((head) => node("th", head, { scope: "col" })))),
      node("tbody", body),
    ]);
    return node("div", made, { class: "scroll", tabindex: "0", role: "region", "aria-label": name });
  }

  const time = (moment) => (moment ? new Date(moment).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "–");
  const count = (number, one, many) => `${number.toLocaleString()} ${number === 1 ? one : many}`;
  const badRows = (rows) => table("Bad rows", ["Line", "What is wrong", "The row"], rows.map((row) => [String(row.line), row.message, node("code", row.text)]));

  // The fields as the API takes them: moments with their zone, hours and retries as objects. What is empty it leaves out.
  function upload() {
    const typed = new FormData(form);
    const sent = new FormData();
    for (const [name, value] of typed) {
      if (!["start_at", "end_at", "hours_start", "hours_end", "attempts", "delay_minutes"].includes(name)) sent.append(name, value);
    }
    for (const name of ["start_at", "end_at"]) if (typed.get(name)) sent.append(name, new Date(typed.get(name)).toISOString());
    const [from, until] = [typed.get("hours_start"), typed.get("hours_end")];
    if (from || until) sent.append("hours", JSON.stringify({ ...(from && { start: from }), ...(until && { end: until }) }));
    const [attempts, minutes] = [typed.get("attempts"), typed.get("delay_minutes")];
    if (attempts || minutes) sent.append("retry", JSON.stringify({ ...(attempts && { attempts: Number(attempts) }), ...(minutes && { delay_seconds: 60 * Number(minutes) }) }));
    return sent;
  }

  const fieldOf = { hours: "hours_start", retry: "attempts" };

  function problem(error) {
    const place = document.getElementById("problem");
    place.textContent = error ? error.message : "";
    place.hidden = !error;
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    if (!error) return;
    const named = error.said?.error?.field?.split(".")[0];
    const field = form.elements[fieldOf[named] || named];
    if (field?.setAttribute) {
      field.setAttribute("aria-invalid", "true");
      field.closest("details")?.setAttribute("open", "");
      field.focus();
    }
    const bad = error.said?.bad_rows;
    if (bad?.length) show("No row can be called", [badRows(bad)], "");
  }

  function show(title, parts, action) {
    document.getElementById("h-preview").textContent = title;
    document.getElementById("said").replaceChildren(...parts);
    const start = document.getElementById("start");
    start.textContent = action;
    start.hidden = !action;
    preview.hidden = false;
  }

  function tried(answer) {
    const parts = [];
    const file = answer.file;
    if (file) parts.push(node("p", `Read as ${file.encoding}, numbers from the column “${file.phone_number_column}”. Variables: ${answer.variables.join(", ") || "none"}.`, { class: "hint" }));
    for (const other of answer.overlaps) {
      const whose = other.campaign_id ? node("a", "another campaign", { href: `/campaigns/${other.campaign_id}` }) : "calls asked for one by one";
      parts.push(node("p", [`${count(other.contacts, "number is", "numbers are")} also to be called by `, whose, ": who comes second waits."], { class: "note" }));
    }
    parts.push(node("h3", `The first ${answer.first.length} as they would be called`));
    parts.push(table("First rows", ["Line", "Who", "What for", "First words", "Their time now", "Called from then on"], answer.first.map((row) => [
      String(row.line),
      row.callee_name ? [row.callee_name, node("br", []), node("span", row.phone_number, { class: "hint" })] : row.phone_number,
      row.action || "–",
      row.opening ?? "the model writes them",
      Object.entries(row.local_times).map(([zone, at]) => `${at.slice(11)} ${zone}`).join(", ") || "unknown zone",
      time(row.opens_at),
    ])));
    if (answer.rejected) {
      parts.push(node("h3", `${count(answer.rejected, "row is", "rows are")} bad and will not be called`));
      parts.push(badRows(answer.bad_rows));
    }
    show(`${count(answer.accepted, "contact", "contacts")} can be called`, parts, `Start: call ${count(answer.accepted, "contact", "contacts")}`);
  }

  async function send(button, dry) {
    if (!form.elements.file.files.length) {
      problem(Object.assign(new Error("Choose the table of contacts first."), { said: { error: { field: "file" } } }));
      return;
    }
    const sent = upload();
    if (dry) sent.append("dry_run", "true");
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      problem(null);
      if (dry) {
        preview.hidden = true;
        tried(await api("/api/phone/campaigns", sent));
        key = randomId();
        preview.focus();
        preview.scrollIntoView({ block: "start" });
      } else {
        const made = await api("/api/phone/campaigns", sent, "POST", { "Idempotency-Key": key });
        location.href = `/campaigns/${made.campaign_id}`;
      }
    } catch (error) {
      problem(error);
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  }

  form?.addEventListener("submit", (event) => { event.preventDefault(); send(document.getElementById("try"), true); });
  // What was previewed is what is started.
  form?.addEventListener("input", () => { preview.hidden = true; });
  document.getElementById("start")?.addEventListener("click", (event) => send(event.target, false));

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-results]");
    if (!button) return;
    button.disabled = true;
    try {
      const results = [];
      for (let cursor = null; ;) {
        const page = await api(`${button.dataset.results}?format=json&limit=1000${cursor ? `&cursor=${cursor}` : ""}`, undefined, "GET");
        results.push(...page.results);
        cursor = page.next_cursor;
        if (!cursor) break;
      }
      const link = node("a", "", { download: button.dataset.name, href: URL.createObjectURL(new Blob([JSON.stringify(results, null, 1)], { type: "application/json" })) });
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (error) {
      notice(error.message);
    } finally {
      button.disabled = false;
    }
  });
})();
