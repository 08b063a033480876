// The agents, and how their actors do. Asks again and again, with a quarter of the requests that the tier allows at most.

import { session } from "./api.js";
import { badge, definitions, element, number, title } from "./dom.js";

export const heading = "Agents";
const ORCHESTRATOR = "orchestrator";
const WINDOW = 60_000; // ms over which the rate is taken

export async function show(content, signal) {
  const [{ items }, first] = await Promise.all([session.call("GET", "/agents"), session.call("GET", "/status")]);
  if (signal.aborted) return;
  const known = new Map(items.map((agent) => [agent.name, agent]));
  const history = [];
  const state = element("p", { class: "soft small" });
  const list = element("ul", { class: "grid plain" });
  content.append(
    element(
      "p",
      { class: "lead" },
      "Each agent is an actor with a mailbox of its own. Messages wait there for their turn.",
    ),
    list,
    state,
  );

  function draw(status) {
    history.push({ at: performance.now(), actors: status.actors });
    while (history.length > 2 && performance.now() - history[0].at > WINDOW) history.shift();
    const cards = status.actors.map((actor) => card(actor, known.get(actor.name), status, rate(history, actor)));
    list.replaceChildren(...cards);
  }

  draw(first);
  for (;;) {
    const seconds = Math.max(3, Math.ceil(240 / session.limit));
    state.textContent = `Asked anew every ${seconds} seconds.`;
    await pause(seconds * 1000, signal);
    if (signal.aborted) return;
    if (document.hidden) continue;
    try {
      const status = await session.call("GET", "/status");
      if (signal.aborted) return;
      draw(status);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      state.textContent = error.message;
      await pause((error.retryAfter ?? 0) * 1000, signal);
    }
  }
}

// Messages a minute that have ended well, over what was seen; null before there are two looks.
export function rate(history, actor) {
  const then = history.find((each) => each.actors.some((other) => other.name === actor.name));
  const seconds = (history.at(-1).at - then.at) / 1000;
  if (seconds <= 0) return null;
  const before = then.actors.find((other) => other.name === actor.name);
  return Math.max(0, ((actor.handled - before.handled) / seconds) * 60);
}

function card(actor, agent, status, perMinute) {
  const closed = agent && !agent.available;
  const marks = [actor.state !== "running" && badge(actor.state, "bad"), closed && badge("not in your tier", "plain")];
  const about =
    agent?.description ??
    (actor.name === ORCHESTRATOR
      ? "Reads each message and chooses the agents for it."
      : "Of a plugin that you have not installed.");
  const trouble = [
    ["failed", actor.failed],
    ["refused", actor.refused],
    ["cancelled", actor.cancelled],
    ["expired", actor.expired],
  ].filter(([, count]) => count);
  const began = actor.handled + actor.failed + actor.running;
  return element(
    "li",
    { class: "card agent", "data-agent": actor.name },
    element(
      "div",
      { class: "row spread" },
      element("h2", {}, title(actor.name)),
      element("span", {}, ...marks.filter(Boolean)),
    ),
    element("p", { class: "soft" }, about),
    definitions(
      [
        ["waiting", depth(actor, status)],
        ["running", number(actor.running)],
        ["a minute", perMinute === null ? "–" : perMinute.toLocaleString("en", { maximumFractionDigits: 1 })],
        ["handled", number(actor.handled)],
        ["mean wait", began ? `${number(Math.round((actor.wait_seconds_total / began) * 1000))} ms` : "–"],
      ],
      { class: "figures" },
    ),
    trouble.length
      ? element(
          "p",
          { class: "small" },
          ...trouble.map(([name, count]) => element("span", { class: "badge warn" }, `${number(count)} ${name}`)),
        )
      : null,
    agent?.tools.length
      ? element(
          "details",
          {},
          element("summary", {}, `${agent.tools.length} tools`),
          element("ul", { class: "chips" }, ...agent.tools.map((name) => element("li", {}, element("code", {}, name)))),
        )
      : null,
  );
}

function depth(actor, status) {
  const full = Math.min(1, actor.queued / status.mailbox_capacity);
  const inner = element("span", { class: "fill" });
  inner.style.width = `${full * 100}%`;
  return [
    number(actor.queued),
    element(
      "span",
      {
        class: "bar thin",
        role: "meter",
        "aria-label": "Mailbox",
        "aria-valuemin": 0,
        "aria-valuemax": status.mailbox_capacity,
        "aria-valuenow": actor.queued,
      },
      inner,
    ),
  ];
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
