// The queue page: fetch the list anew when something changed, at most a few times a second.
"use strict";
(() => {
  const GATHER_MS = 120;
  let timer = null;

  document.addEventListener("live:changed", (event) => {
    const list = document.getElementById("list");
    // Not "<=": a change with a lower number may have been committed after the list was read.
    const isKnown = event.detail.seq === Number(list.dataset.seq);
    if ((isKnown && !event.detail.mayHaveMissed) || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      htmx.trigger("#list", "refresh");
    }, GATHER_MS);
  });

  document.addEventListener("keydown", (event) => {
    if (!["j", "k"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea")) return;
    const rows = [...document.querySelectorAll(".cover")];
    const at = rows.indexOf(document.activeElement);
    const next = event.key === "j" ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0);
    rows[next]?.focus();
  });

  for (const field of document.querySelectorAll("#filters select")) {
    field.addEventListener("change", () => field.form.requestSubmit());
  }
})();
