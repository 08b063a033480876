// The data of this page, as its user sees it.

import { element, title } from "./dom.js";

export function dataPanel(workspace) {
  const summary = element("summary", {});
  const inside = element("div", { class: "stack" });
  const clear = element("button", { type: "button", class: "quiet", onclick: () => workspace.clear() }, "Clear");
  const draw = () => {
    const lists = Object.entries(workspace.lists).filter(([, items]) => items.length);
    summary.textContent = `Data of this page: ${lists.map(([kind, items]) => `${items.length} ${items.length === 1 ? kind.slice(0, -1) : kind}`).join(", ") || "none yet"}`;
    inside.replaceChildren(
      element(
        "p",
        { class: "soft small" },
        "What the agents see with each message, and what their actions change. It is in the memory of this page only, and gone when you leave it.",
      ),
      ...lists.map(([kind, items]) =>
        element(
          "div",
          {},
          element("h2", {}, title(kind)),
          element("ul", {}, ...items.map((item) => element("li", {}, describe(item)))),
        ),
      ),
      lists.length ? clear : "",
    );
  };
  workspace.addEventListener("change", draw);
  draw();
  return element("details", { class: "data", open: matchMedia("(min-width: 46rem)").matches }, summary, inside);
}

function describe(item) {
  const extras = ["status", "priority", "due_date"]
    .map((name) => item[name])
    .filter((value) => typeof value === "string");
  return [
    String(item.title ?? item.name ?? item.id),
    extras.length ? element("span", { class: "soft" }, ` ${extras.join(", ")}`) : "",
  ]
    .flat()
    .reduce((box, part) => (box.append(part), box), element("span"));
}
