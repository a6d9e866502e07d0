// The evidence below each score: views of it, a click that seeks, a cursor that follows, the blur.
"use strict";
(() => {
  const player = document.getElementById("player");
  const reveal = document.getElementById("reveal");

  // --- Views ------------------------------------------------------------------------------------

  function show(drawings, view) {
    for (const button of drawings.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
    for (const figure of drawings.querySelectorAll("[data-of-view]")) {
      figure.hidden = figure.dataset.ofView !== view;
    }
    moveCursors();
  }

  function nextView() {
    for (const drawings of document.querySelectorAll("[data-drawings]")) {
      const buttons = [...drawings.querySelectorAll("[data-view]")];
      const now = buttons.findIndex((button) => button.getAttribute("aria-pressed") === "true");
      if (buttons.length) show(drawings, buttons[(now + 1) % buttons.length].dataset.view);
    }
  }

  document.addEventListener("keydown", (event) => {
    const isWriting = event.target.matches("textarea:not([readonly]), select, input:not([type=radio])");
    if (event.key !== "h" || isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    nextView();
    event.preventDefault();
  });

  // --- The time line of a drawing -----------------------------------------------------------------

  function line(paper) {
    const names = ["left", "right", "top", "bottom", "start", "end"];
    return Object.fromEntries(names.map((name) => [name, Number(paper.dataset[name])]));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-view]");
    if (button) show(button.closest("[data-drawings]"), button.dataset.view);
    const paper = event.target.closest("[data-seek]");
    if (!paper || !player) return;
    const box = paper.getBoundingClientRect();
    const { left, right, start, end } = line(paper);
    const share = ((event.clientX - box.left) / box.width - left) / (right - left);
    if (share < 0 || share > 1) return;
    player.currentTime = start + share * (end - start);
    player.play().catch(() => {});  // unplayable here: said elsewhere on the page
  });

  function moveCursors() {
    for (const paper of document.querySelectorAll("[data-seek]")) {
      const cursor = paper.querySelector(".cursor");
      const { left, right, top, bottom, start, end } = line(paper);
      const at = player ? player.currentTime : -1;
      cursor.toggleAttribute("hidden", !(at > 0 && at >= start && at <= end));
      const x = 100 * (left + ((at - start) / (end - start)) * (right - left));
      const ends = { x1: x, x2: x, y1: 100 * top, y2: 100 * bottom };
      for (const [name, place] of Object.entries(ends)) cursor.firstElementChild.setAttribute(name, place.toFixed(3));
    }
  }
  player?.addEventListener("timeupdate", moveCursors);
  player?.addEventListener("seeked", moveCursors);

  // --- What comes later keeps to the blur that was chosen ---------------------------------------------

  document.addEventListener("htmx:afterSettle", (event) => {
    const isShown = reveal?.getAttribute("aria-pressed") === "true";
    for (const each of event.target.querySelectorAll(".hideable")) each.classList.toggle("blurred", !isShown);
    moveCursors();
  });
})();
