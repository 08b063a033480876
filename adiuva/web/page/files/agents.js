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
  const cards = new Map();
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
    for (const actor of status.actors) {
      if (!cards.has(actor.name)) cards.set(actor.name, new Card(actor.name, known.get(actor.name), list));
      cards.get(actor.name).draw(actor, status, rate(history, actor));
    }
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

// What changes is drawn anew; the rest stays, with the focus that may be on it.
class Card {
  #marks = element("span");
  #figures = element("div");
  #trouble = element("p", { class: "small" });

  constructor(name, agent, list) {
    this.closed = agent !== undefined && !agent.available;
    const about = name === ORCHESTRATOR ? "Reads each message and chooses the agents for it." : agent?.description;
    list.append(
      element(
        "li",
        { class: "card agent", "data-agent": name },
        element("div", { class: "row spread" }, element("h2", {}, title(name)), this.#marks),
        element("p", { class: "soft" }, about ?? "Of a plugin that you have not installed."),
        this.#figures,
        this.#trouble,
        agent?.tools.length ? tools(agent) : null,
      ),
    );
  }

  draw(actor, status, perMinute) {
    const began = actor.handled + actor.failed + actor.running;
    const wait = began ? `${number(Math.round((actor.wait_seconds_total / began) * 1000))} ms` : "–";
    const speed = perMinute === null ? "–" : perMinute.toLocaleString("en", { maximumFractionDigits: 1 });
    const figures = [
      ["waiting", depth(actor, status)],
      ["running", number(actor.running)],
      ["a minute", speed],
      ["handled", number(actor.handled)],
      ["mean wait", wait],
    ];
    this.#figures.replaceChildren(definitions(figures, { class: "figures" }));
    const marks = [actor.state !== "running" && badge(actor.state, "bad"), this.closed && badge("not in your tier")];
    this.#marks.replaceChildren(...marks.filter(Boolean));
    const ends = ["failed", "refused", "cancelled", "expired"].filter((end) => actor[end]);
    this.#trouble.replaceChildren(...ends.map((end) => badge(`${number(actor[end])} ${end}`, "warn")));
    this.#trouble.hidden = !ends.length;
  }
}

function tools(agent) {
  const items = agent.tools.map((name) => element("li", {}, element("code", {}, name)));
  return element(
    "details",
    {},
    element("summary", {}, `${agent.tools.length} tools`),
    element("ul", { class: "chips" }, ...items),
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
