// The review queue: what waits, what the check of its package found, and the decision.

import { session } from "./api.js";
import { alertBox, announce, badge, definitions, element, field, money, moment } from "./dom.js";
import { permissions } from "./plugins.js";

export const heading = "Review queue";

export async function show(content, signal) {
  const { items, total } = await session.call("GET", "/admin/plugins/pending?limit=50");
  if (signal.aborted) return;
  const count = element(
    "p",
    { class: "lead" },
    total === 0
      ? "Nothing waits for a review."
      : total === 1
        ? "One plugin waits."
        : `${total} plugins wait, the oldest first.`,
  );
  content.append(
    count,
    element("ul", { class: "stack plain" }, ...items.map((plugin) => card(plugin, () => again(content, signal)))),
  );
}

async function again(content, signal) {
  content.replaceChildren();
  await show(content, signal);
  document.querySelector("h1").focus();
}

function card(plugin, done) {
  return element(
    "li",
    { class: "card", "data-plugin": plugin.id },
    element("div", { class: "row spread" }, element("h2", {}, plugin.name), badge(plugin.category)),
    definitions(
      [
        ["Id", plugin.id],
        ["Version", plugin.version],
        ["Price", money(plugin.price_cents, plugin.currency)],
        [
          "Package",
          plugin.package_checksum
            ? element("code", { title: plugin.package_checksum }, `SHA-256 ${plugin.package_checksum.slice(0, 16)}…`)
            : "none yet",
        ],
      ],
      { class: "facts" },
    ),
    element("p", { class: "about" }, plugin.description),
    permissions(plugin.permissions),
    report(plugin),
    decision(plugin, done),
  );
}

function report(plugin) {
  const found = plugin.check_report;
  if (!found) {
    const how = plugin.package_checksum
      ? [
          "Its package was not checked yet. Beside the server: ",
          element("code", {}, `adiuva admin plugins check ${plugin.id}`),
        ]
      : ["There is no package to check."];
    return element("p", { class: "note" }, ...how);
  }
  const kinds = { error: "bad", warning: "warn", note: "plain" };
  const findings = found.findings.map((each) =>
    element(
      "li",
      {},
      badge(each.level, kinds[each.level] ?? "plain"),
      element(
        "span",
        {},
        element("strong", {}, each.check),
        " ",
        each.where ? element("code", {}, each.where) : null,
        ` ${each.message}`,
      ),
    ),
  );
  const agents = Object.entries(found.agents).map(([name, tools]) => [name, tools.join(", ") || "no tools"]);
  return element(
    "section",
    { class: "report", "aria-label": `Check report of ${plugin.name}` },
    element(
      "div",
      { class: "row spread" },
      element("h3", {}, "Check report"),
      badge(found.passed ? "passed" : "failed", found.passed ? "good" : "bad"),
    ),
    element("p", { class: "soft small" }, `${found.package} ${found.version}, checked `, moment(plugin.checked_at)),
    agents.length ? definitions(agents, { class: "facts" }) : null,
    findings.length ? element("ul", { class: "findings plain" }, ...findings) : element("p", {}, "Nothing was found."),
  );
}

function decision(plugin, done) {
  const notes = field("Notes for the author", element("textarea", { rows: 3, maxlength: 10000 }), {
    hint: "A rejection has to say why.",
  });
  const faults = element("div");
  const decide = (choice) => async () => {
    notes.complain("");
    faults.replaceChildren();
    if (choice === "rejected" && !notes.control.value.trim()) {
      notes.complain("Say why it is rejected.");
      notes.control.focus();
      return;
    }
    const seen = {
      version: plugin.version,
      ...(plugin.package_checksum ? { package_checksum: plugin.package_checksum } : {}),
    };
    const buttons = [...form.querySelectorAll("button")];
    buttons.forEach((each) => (each.disabled = true));
    try {
      await session.call("POST", `/admin/plugins/${plugin.id}/review`, {
        decision: choice,
        notes: notes.control.value,
        ...seen,
      });
      announce(`${plugin.name} is ${choice}.`);
      await done();
    } catch (error) {
      const told = (error.errors ?? []).find((each) => each.field === "notes");
      if (told) notes.complain(`It ${told.message}.`);
      else faults.replaceChildren(alertBox(error.message));
    } finally {
      buttons.forEach((each) => (each.disabled = false));
    }
  };
  const button = (text, kind, choice) =>
    element(
      "button",
      { type: "button", class: kind, "aria-label": `${text} ${plugin.name}`, onclick: decide(choice) },
      text,
    );
  const form = element(
    "form",
    { class: "stack", "aria-label": `Decision about ${plugin.name}`, onsubmit: (event) => event.preventDefault() },
    notes.box,
    faults,
    element("div", { class: "row" }, button("Approve", "", "approved"), button("Reject", "danger", "rejected")),
  );
  return form;
}
