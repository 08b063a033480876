// The chat. An answer is shown as it comes; who listens hears it sentence by sentence.

import { session } from "./api.js";
import { Answer, turn } from "./answer.js";
import { actionCard } from "./cards.js";
import { dataPanel } from "./data.js";
import { alertBox, element, field, number, title } from "./dom.js";
import { Stream } from "./stream.js";
import { Workspace } from "./workspace.js";

export const heading = "Chat";

const MAX_MESSAGES = 50; // of the history, as the API takes them
const MAX_CHARACTERS = 200_000; // of all of it, so that a frame is not too long
const EXAMPLES = [
  "Add a high priority task 'Call the bank' for tomorrow",
  "Write a note titled 'Kickoff' saying 'We start on Monday at nine'",
  "List my tasks",
];

let talk = fresh();

function fresh() {
  return { stream: new Stream(), workspace: new Workspace(), history: [], log: null };
}

// Whoever signs in next sees nothing of this.
export function forget() {
  talk.stream.close();
  talk = fresh();
}

export async function show(content, signal) {
  const [{ items: agents }, { items: models }] = await Promise.all([
    session.call("GET", "/agents"),
    session.call("GET", "/models"),
  ]);
  if (signal.aborted) return;
  talk.log ??= element("div", { class: "log", role: "region", "aria-label": "Conversation", tabindex: 0 }, welcome());
  const spoken = element("div", { class: "unseen", "aria-live": "polite" });
  content.append(
    element(
      "div",
      { class: "chat" },
      talk.log,
      spoken,
      composer(agents, models, spoken, signal),
      dataPanel(talk.workspace),
    ),
  );
  content.querySelector("textarea").focus();
}

function welcome() {
  const pick = (text) => () => {
    const box = document.querySelector(".composer textarea");
    box.value = text;
    box.focus();
  };
  return element(
    "div",
    { class: "welcome" },
    element("p", { class: "lead" }, "Ask for something. Agents answer, and propose actions that the app would apply."),
    element(
      "div",
      { class: "row" },
      ...EXAMPLES.map((text) => element("button", { type: "button", class: "example", onclick: pick(text) }, text)),
    ),
  );
}

function choice(label, first, items, text) {
  const options = items.map((item) =>
    element(
      "option",
      { value: item.name ?? item.id, disabled: !item.available },
      `${text(item)}${item.available ? "" : " (not in your tier)"}`,
    ),
  );
  return field(label, element("select", {}, first && element("option", { value: "" }, first), ...options));
}

function composer(agents, models, spoken, signal) {
  const message = field(
    "Message",
    element("textarea", {
      rows: 2,
      maxlength: 16000,
      placeholder: "Write a message",
      title: "Enter sends, Shift+Enter begins a new line",
    }),
  );
  const agent = choice("Agent", "chosen for me", agents, (item) => title(item.name));
  const model = choice(
    "Model",
    "",
    [...models].sort((a, b) => b.default - a.default),
    (item) => item.id,
  );
  const send = element("button", { type: "submit" }, "Send");
  const cancel = element(
    "button",
    { type: "button", class: "danger", hidden: true, onclick: () => talk.stream.cancel() },
    "Cancel",
  );
  const form = element(
    "form",
    { class: "composer card", "aria-label": "Write to the agents", onsubmit: submit },
    message.box,
    element(
      "div",
      { class: "row spread bottom" },
      element("div", { class: "row" }, agent.box, models.length > 1 ? model.box : null),
      element("div", { class: "row" }, cancel, send),
    ),
  );

  message.control.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") talk.stream.cancel();
  });

  async function submit(event) {
    event.preventDefault();
    const text = message.control.value.trim();
    if (!text || send.disabled) return;
    send.disabled = true;
    cancel.hidden = false;
    message.control.value = "";
    const request = { message: text, history: recent(talk.history), context: talk.workspace.context() };
    if (agent.control.value) request.agents = [agent.control.value];
    if (model.control.value && models.length > 1) request.model = model.control.value;
    try {
      await exchange(request, spoken);
    } finally {
      send.disabled = false;
      if (document.activeElement === cancel) message.control.focus();
      cancel.hidden = true;
    }
  }

  // What runs is not shown any more: its answer still comes into the conversation.
  signal.addEventListener("abort", () => spoken.remove());
  return form;
}

function recent(history) {
  let left = MAX_CHARACTERS;
  const fits = history.slice(-MAX_MESSAGES).reverse();
  const end = fits.findIndex(({ content }) => (left -= content.length) < 0);
  return (end < 0 ? fits : fits.slice(0, end)).reverse();
}

async function exchange(request, spoken) {
  const { stream, workspace, history, log } = talk;
  log.querySelector(".welcome")?.remove();
  const following = follow(log);
  const answer = new Answer(spoken, following);
  log.append(turn("You", "mine", element("p", { class: "text" }, request.message)), answer.turn);
  log.scrollTop = log.scrollHeight;
  try {
    const done = await stream.ask(request, {
      chunk: ({ text }) => answer.add(text),
      action: ({ action }) => following(() => answer.cards.append(actionCard(action, workspace))),
    });
    following(() => {
      answer.end(done.response);
      answer.note(`${number(done.usage.prompt_tokens + done.usage.completion_tokens)} tokens`);
    });
    history.push({ role: "user", content: request.message }, { role: "assistant", content: done.response });
  } catch (error) {
    following(() => {
      answer.end();
      if (error.code === "cancelled") answer.note("Cancelled.");
      else answer.turn.append(alertBox(error.message));
    });
  }
}

// Keeps the end in sight, unless somebody has scrolled back to read.
function follow(log) {
  return (change) => {
    const followed = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    change();
    if (followed) log.scrollTop = log.scrollHeight;
  };
}
