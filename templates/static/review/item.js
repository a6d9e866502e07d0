// The item page: blur, players, waveform, frames, the decision with its draft, and the claim's clock.
"use strict";
(() => {
  const item = document.getElementById("item");
  const panel = () => document.getElementById("panel");
  const player = document.getElementById("player");

  // --- Staying up to date ---------------------------------------------------------------------

  document.addEventListener("live:changed", (event) => {
    const { seq, item: changed, mayHaveMissed } = event.detail;
    const concernsUs = !changed || changed === item.dataset.item;
    // Not ">": a change with a lower number may have been committed after the panel was read.
    if (mayHaveMissed || (concernsUs && seq !== Number(panel().dataset.seq))) refresh();
  });

  function refresh() {
    keepDraft();
    htmx.trigger("#panel", "refresh");
  }

  // --- The draft: survives a lost claim, a reload and a lost connection --------------------------

  const draftName = `review-draft-${item.dataset.item}`;

  function keepDraft() {
    const note = document.querySelector("#decision [data-draft]");
    if (!note) return;
    const verdict = document.querySelector("#decision [name=verdict]:checked")?.value ?? "";
    if (note.value || verdict) localStorage.setItem(draftName, JSON.stringify({ note: note.value, verdict }));
    else localStorage.removeItem(draftName);
  }

  function restoreDraft() {
    const note = document.querySelector("[data-draft]");
    const kept = JSON.parse(localStorage.getItem(draftName) ?? "null");
    if (!note || !kept) return;
    if (!note.value) note.value = kept.note;
    const verdict = [...document.querySelectorAll("#decision [name=verdict]")];
    if (!verdict.some((each) => each.checked)) verdict.forEach((each) => { each.checked = each.value === kept.verdict; });
  }

  document.addEventListener("input", (event) => {
    if (event.target.closest("#decision")) keepDraft();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target !== panel()) return; // the clocks count from when the panel came
    if (["decided", "final", "escalated"].includes(panel().dataset.status)) localStorage.removeItem(draftName);
    startClocks();
    restoreDraft();
  });

  // --- Clocks: counted from what the server said, so that this machine's clock does not matter -----

  let loadedAt = performance.now();

  function startClocks() {
    loadedAt = performance.now();
    showClocks();
  }

  function secondsLeft(clock) {
    return Math.max(0, Number(clock.dataset.countdown) - (performance.now() - loadedAt) / 1000);
  }

  function showClocks() {
    for (const clock of document.querySelectorAll("[data-countdown]")) {
      const seconds = secondsLeft(clock);
      clock.textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
      if (clock.id === "lease-left") clock.parentElement.classList.toggle("soon", seconds < 60);
      if (clock.id === "undo-left") {
        const whole = Number(clock.dataset.countdown) || 1;
        document.getElementById("undo-bar").setAttribute("width", (100 * seconds) / whole);
        if (seconds === 0 && !clock.dataset.asked) {
          clock.dataset.asked = "yes";
          setTimeout(refresh, 1000);
        }
      }
    }
  }

  // --- The claim is renewed while somebody is at work here, not by a forgotten tab ------------------

  const RENEW_MS = 60_000;
  let isUsed = true;
  for (const sign of ["keydown", "pointerdown", "pointermove", "scroll"]) {
    document.addEventListener(sign, () => { isUsed = true; }, { passive: true });
  }

  async function renew() {
    const lease = document.getElementById("lease");
    if (!lease || !(isUsed || (player && !player.paused))) return;
    isUsed = false;
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const body = new URLSearchParams({ lease_token: lease.value, csrfmiddlewaretoken: token });
    const answer = await fetch(lease.dataset.renew, { method: "POST", body }).catch(() => null);
    if (answer?.ok) {
      const { seconds } = await answer.json();
      const clock = document.getElementById("lease-left");
      if (clock) clock.dataset.countdown = seconds + (performance.now() - loadedAt) / 1000;
    } else if (answer?.status === 409) {
      refresh();
    }
  }

  // --- Blur ---------------------------------------------------------------------------------------

  const reveal = document.getElementById("reveal");
  reveal?.addEventListener("click", () => {
    const isShown = reveal.getAttribute("aria-pressed") !== "true";
    reveal.setAttribute("aria-pressed", String(isShown));
    reveal.firstElementChild.textContent = isShown ? reveal.dataset.hide : reveal.dataset.show;
    for (const each of document.querySelectorAll(".hideable")) each.classList.toggle("blurred", !isShown);
  });

  // --- Picture --------------------------------------------------------------------------------------

  const zoomed = document.getElementById("zoomed");
  document.getElementById("zoom")?.addEventListener("click", () => zoomed.showModal());
  zoomed?.querySelector(".pan").addEventListener("click", (event) => event.currentTarget.classList.toggle("near"));

  // --- Sound and video ---------------------------------------------------------------------------------

  const wave = document.getElementById("wave");
  let duration = 0;

  function playFrom(start, end) {
    player.currentTime = start;
    player.play().catch(() => {});  // refused before the first gesture, or unplayable: shown elsewhere
    stopAt = end ?? null;
  }
  let stopAt = null;

  player?.addEventListener("timeupdate", () => {
    if (stopAt !== null && player.currentTime >= stopAt) { player.pause(); stopAt = null; }
    moveCursor();
  });
  player?.addEventListener("error", () => { document.getElementById("unplayable").hidden = false; });

  function moveCursor() {
    if (!wave || !duration) return;
    const x = (600 * player.currentTime) / duration;
    const cursor = wave.querySelector(".cursor");
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
  }

  function drawWave(peaks) {
    const step = 600 / peaks.length;
    const loudest = Math.max(0.05, ...peaks);
    wave.querySelector(".peaks").setAttribute("d", peaks.map((peak, index) => {
      const half = Math.max(0.6, (46 * peak) / loudest);
      return `M${(index * step).toFixed(2)} ${(50 - half).toFixed(1)}h${(step * 0.7).toFixed(2)}v${(2 * half).toFixed(1)}h-${(step * 0.7).toFixed(2)}z`;
    }).join(""));
    for (const part of wave.querySelectorAll("rect")) {
      part.setAttribute("x", (600 * part.dataset.start) / duration);
      part.setAttribute("width", (600 * (part.dataset.end - part.dataset.start)) / duration);
    }
    wave.hidden = false;
    moveCursor();
  }

  wave?.addEventListener("click", (event) => {
    const box = wave.querySelector("svg").getBoundingClientRect();
    playFrom((duration * (event.clientX - box.left)) / box.width);
  });

  document.addEventListener("click", (event) => {
    const part = event.target.closest("button[data-start]");
    if (!part) return;
    if (part.dataset.end) playFrom(Number(part.dataset.start), Number(part.dataset.end));
    else player.currentTime = Number(part.dataset.start);
  });

  function showFrames(frames) {
    for (const picture of document.querySelectorAll("[data-frame-at]")) {
      const at = Number(picture.dataset.frameAt);
      const nearest = frames.reduce((best, each, index) => (Math.abs(each - at) < Math.abs(frames[best] - at) ? index : best), 0);
      picture.src = picture.dataset.frames.replace("frame-0", `frame-${nearest}`);
    }
  }

  async function showPreviews() {
    const answer = await fetch(item.dataset.manifest).catch(() => null);
    const found = answer ? await answer.json().catch(() => null) : null;
    document.getElementById("preparing").hidden = true;
    if (!found || found.failure) {
      const failed = document.getElementById("preview-failed");
      failed.textContent = found?.failure ?? document.getElementById("trouble").dataset.offline;
      failed.hidden = false;
      return;
    }
    duration = found.duration_seconds;
    if (found.peaks.length) drawWave(found.peaks);
    if (found.frames.length) showFrames(found.frames);
  }

  // --- Keys that do more than press a button -------------------------------------------------------------

  function nextSuspicious() {
    const parts = [...document.querySelectorAll(".parts-list [data-start], .strip li:not(.level-low) [data-start]")];
    const now = player?.currentTime ?? 0;
    (parts.find((part) => Number(part.dataset.start) > now + 0.2) ?? parts[0])?.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      document.getElementById("submit")?.click();
      return;
    }
    const isWriting = event.target.matches("textarea:not([readonly]), select, input:not([type=radio])");
    if (isWriting || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const verdict = document.querySelector(`[data-digit="${CSS.escape(event.key)}"]`);
    if (verdict) { verdict.click(); verdict.focus(); }
    else if (event.key === "n") document.getElementById("note")?.focus();
    else if (event.key === "s") nextSuspicious();
    else if (event.key === " " && player && !event.target.closest("button, a, summary")) {
      if (player.paused) player.play().catch(() => {}); else player.pause();
    } else return;
    event.preventDefault();
  });

  startClocks();
  restoreDraft();
  setInterval(showClocks, 500);
  setInterval(renew, RENEW_MS);
  if (item.dataset.manifest && item.dataset.kind !== "image") showPreviews();
})();
