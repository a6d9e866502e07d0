// Keys press what carries their letter: <button data-key="c">. While a field is being written in,
// letters are letters.
"use strict";
(() => {
  function isWriting(target) {
    return target.matches("textarea:not([readonly]), select, input:not([type=radio])");
  }

  function hasModifier(event) {
    return event.ctrlKey || event.metaKey || event.altKey;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isWriting(event.target)) event.target.blur();
    if (hasModifier(event) || isWriting(event.target) || document.querySelector("dialog[open]")) return;
    const button = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not([disabled])`);
    if (!button) return;
    event.preventDefault();
    button.click();
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
  });
})();
