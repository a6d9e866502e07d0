// The live connection. It only hears "changed, seq N"; whoever shows something listens for
// `live:changed` and fetches it anew. Whatever may have been missed is fetched after every gap.
"use strict";
(() => {
  const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 10_000, POLL_MS = 60_000;
  const NOT_SIGNED_IN = 4401, NO_ACCESS = 4403;
  const light = document.getElementById("connection");
  const trouble = document.getElementById("trouble");
  let wait = FIRST_WAIT_MS;
  let hadConnection = false;
  let current = null;

  function show(state) {
    light.dataset.state = state;
    light.textContent = light.dataset[state];
  }

  function tell(detail) {
    document.dispatchEvent(new CustomEvent("live:changed", { detail }));
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = current = new WebSocket(`${scheme}://${location.host}/ws/review/`);
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (light.dataset.state !== "live") {
        show("live");
        wait = FIRST_WAIT_MS;
        message.mayHaveMissed = hadConnection;
        hadConnection = true;
      }
      tell(message);
    };
    socket.onclose = (event) => {
      if (event.code === NOT_SIGNED_IN || event.code === NO_ACCESS) {
        location.reload();
        return;
      }
      show("lost");
      setTimeout(connect, wait * (0.5 + Math.random()));
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    };
  }

  // A browser keeps a dead socket open for minutes after the line went; closing it starts again.
  window.addEventListener("offline", () => current.close());

  // Heals what no message tells of: ages, and a line that died without saying so.
  setInterval(() => { if (!document.hidden) tell({ mayHaveMissed: true }); }, POLL_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) tell({ mayHaveMissed: true });
  });

  document.addEventListener("htmx:sendError", () => {
    trouble.textContent = trouble.dataset.offline;
    trouble.hidden = false;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) trouble.hidden = true;
  });
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 403 || status === 404) location.reload();
    else { trouble.textContent = `${trouble.dataset.offline} (${status})`; trouble.hidden = false; }
  });
  // A session that ended answers with the sign-in page; it must not land inside the list.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.responseURL.includes(document.body.dataset.login)) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });

  connect();
})();
