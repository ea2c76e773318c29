// Refreshes the parts of a page when the service says that something has changed, and not by the clock.
//
// The parts poll by themselves (hx-trigger="every …"), which goes on where no stream can be had. While the stream is
// open, polls are left out, but for one in a while: times such as "2 min ago" grow old. A hidden tab has no stream, since
// browsers open only a few connections to one host.
(() => {
  "use strict";
  const RARE = 30000, AGAIN = 15000, CALM = 1000;
  const main = document.getElementById("main");
  const address = main && main.dataset.live;
  if (!address || !window.EventSource || !window.htmx) return;

  const passed = new WeakMap();
  let stream = null, open = false, asking = false, calm = 0;

  const polling = (element) => (element.getAttribute("hx-trigger") || "").startsWith("every ");

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const element = event.detail.elt;
    if (!open || asking || !polling(element)) return;
    const now = Date.now(), last = passed.get(element);
    if (last === undefined || now - last > RARE) passed.set(element, now);
    if (last === undefined || now - last <= RARE) event.preventDefault();
  });

  const refresh = (selector) => {
    asking = true;
    try {
      for (const element of document.querySelectorAll(selector)) {
        if (polling(element)) htmx.ajax("GET", element.getAttribute("hx-get"), { source: element, target: element, swap: "outerHTML" });
      }
    } finally {
      asking = false;
    }
  };

  // A log that goes on is shown from its end, and stays there as long as nobody looks further up.
  const log = document.querySelector(".log:has(.more[hx-get])");
  if (log) {
    let atEnd = !location.hash;
    const toEnd = () => { if (atEnd) log.scrollTop = log.scrollHeight; };
    log.addEventListener("scroll", () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40; });
    new MutationObserver(toEnd).observe(log, { childList: true, subtree: true });
    toEnd();
  }

  const connect = () => {
    if (stream || document.hidden) return;
    const more = document.querySelector(".more[hx-get]");
    const offset = more && new URLSearchParams(more.getAttribute("hx-get").split("?")[1]).get("offset");
    stream = new EventSource(offset === null ? address : `${address}${address.includes("?") ? "&" : "?"}offset=${offset}`);
    stream.addEventListener("open", () => { open = true; refresh("[hx-get]"); });
    stream.addEventListener("changed", () => refresh("[hx-get]:not(.more)"));
    stream.addEventListener("log", () => {
      refresh(".more");
      if (Date.now() - calm > CALM) { calm = Date.now(); refresh("#state"); }
    });
    stream.addEventListener("error", () => {
      open = false;
      if (stream && stream.readyState === EventSource.CLOSED) { stream = null; setTimeout(connect, AGAIN); }
    });
  };

  const leave = () => {
    if (stream) stream.close();
    stream = null;
    open = false;
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : connect()));
  addEventListener("pagehide", leave);
  // What is done with a thing may end it, and the answer is a new page.
  addEventListener("submit", (event) => { if (event.target.method === "post") leave(); });
  addEventListener("pageshow", connect);
  connect();
})();
