// An action as a card: what it does, with which values, and whether somebody has to agree first.

import { badge, definitions, element, title, words } from "./dom.js";

export function actionCard(action, workspace) {
  const state = element("p", { class: "state", role: "status", tabindex: -1 });
  const buttons = element("div", { class: "row" });
  const name = title(action.action);
  const subject = workspace.subject(action);
  const settle = (text, kind) => {
    const held = buttons.contains(document.activeElement);
    buttons.remove();
    state.textContent = text;
    if (held) state.focus();
    card.dataset.state = kind;
  };
  const apply = () =>
    workspace.apply(action)
      ? settle("Applied to the data of this page.", "applied")
      : settle("What it is about is not in the data of this page.", "missing");
  const card = element(
    "article",
    {
      class: `action ${action.requires_confirmation ? "asks" : ""}`,
      "aria-label": `Action: ${name}`,
      "data-action": action.action,
    },
    element(
      "header",
      { class: "row spread" },
      element("h2", {}, name),
      action.requires_confirmation
        ? badge("needs your confirmation", "warn")
        : element("code", { class: "soft" }, action.action),
    ),
    definitions(
      [
        ...(subject ? [["about", subject]] : []),
        ...Object.entries(action.params).map(([key, value]) => [words(key), shown(value)]),
      ],
      { class: "facts" },
    ),
    state,
  );
  if (!workspace.knows(action)) settle("The app would apply this; this page cannot.", "unknown");
  else if (action.requires_confirmation) {
    buttons.append(
      element(
        "button",
        { type: "button", class: "danger", "aria-label": `Confirm: ${name}`, onclick: apply },
        "Confirm",
      ),
      element(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-label": `Dismiss: ${name}`,
          onclick: () => settle("Dismissed: nothing was changed.", "dismissed"),
        },
        "Dismiss",
      ),
    );
    card.append(buttons);
  } else apply();
  return card;
}

function shown(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
