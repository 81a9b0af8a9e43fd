// Listens to the server while the page can be seen. A window that nobody looks at takes no place from others.

const REFRESH_SECONDS = 10;
const RETRY_SECONDS = 30;
const RETRY_SOON_SECONDS = 5;

// A stream that is refused does not say why; the same question without one does. Our own refusal says when to come again.
async function refusal(address) {
  try {
    const answer = await fetch(address, { method: "HEAD" });
    return answer.status === 503 && answer.headers.has("Retry-After") ? "too many watch" : `not live (status ${answer.status})`;
  } catch (error) {
    return "no connection";
  }
}

// address(): where to listen; handlers: by the event's name; refresh(): what is done now and then where listening is refused.
// Returns what tells once more how it stands.
export function watch({ address, handlers, refresh, tell }) {
  let source = null;
  let refreshing = null;
  let retry = null;
  let state = ["waiting", "connecting"];

  function note(...found) {
    state = found;
    tell(...state);
  }

  function stop() {
    if (source) source.close();
    clearInterval(refreshing);
    clearTimeout(retry);
    source = refreshing = retry = null;
  }

  function start() {
    stop();
    if (document.hidden) return;
    source = new EventSource(address());
    source.addEventListener("open", () => note("live", "live"));
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data), event.lastEventId));
    }
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) {
        refused();
      } else {
        note("lost", "no connection, trying again");
      }
    });
  }

  async function refused() {
    stop();
    const mine = refreshing = setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_SECONDS * 1000);
    const why = await refusal(address());
    if (refreshing !== mine) return;
    note("waiting", `${why}: refreshed every ${REFRESH_SECONDS} s`);
    retry = setTimeout(start, (why === "too many watch" ? RETRY_SECONDS : RETRY_SOON_SECONDS) * 1000);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", (event) => { if (event.persisted) start(); });
  start();
  return () => tell(...state);
}

export async function ask(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok && answer.status !== 400) throw new Error(`status ${answer.status}`);
  return answer.json();
}
