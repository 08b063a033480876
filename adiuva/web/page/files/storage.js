// What of the quota is used, and the newest records: their sizes and times, since nothing else can be read here.

import { session } from "./api.js";
import { bytes, element, moment, number } from "./dom.js";

export const heading = "Storage";

export async function show(content, signal) {
  const [usage, records, backups] = await Promise.all([
    session.call("GET", "/storage/usage"),
    session.call("GET", "/storage/records?limit=10"),
    session.call("GET", "/backup/history?limit=5"),
  ]);
  if (signal.aborted) return;
  content.append(
    element(
      "p",
      { class: "lead" },
      "Everything here is sealed by the app before it comes. The server has no key to it.",
    ),
    element(
      "div",
      { class: "pair" },
      meter("Records", usage.records, records.total),
      meter("Backups", usage.backups, backups.total),
    ),
    listing(
      "Newest records",
      ["Table", "Size", "Changed"],
      records.items.map((each) => [each.table, bytes(each.size_bytes), moment(each.updated_at)]),
    ),
    listing(
      "Newest backups",
      ["Version", "Size", "Taken"],
      backups.items.map((each) => [each.version, bytes(each.size_bytes), moment(each.timestamp)]),
    ),
  );
}

function meter(name, { used_bytes: used, quota_bytes: quota }, count) {
  const text =
    quota === null
      ? `${bytes(used)}, without a limit`
      : quota === 0
        ? "not part of your tier"
        : `${bytes(used)} of ${bytes(quota)}`;
  const share = quota ? Math.min(1, used / quota) : 0;
  const parts = [
    element(
      "div",
      { class: "row spread" },
      element("h2", {}, name),
      element("span", { class: "soft" }, `${number(count)} stored`),
    ),
    element("p", { class: "lead" }, text),
  ];
  if (quota) {
    const inner = element("span", { class: share > 0.9 ? "fill full" : "fill" });
    inner.style.width = `${Math.max(used ? 0.5 : 0, share * 100)}%`;
    parts.push(
      element(
        "div",
        {
          class: "bar",
          role: "meter",
          "aria-label": name,
          "aria-valuemin": 0,
          "aria-valuemax": quota,
          "aria-valuenow": used,
          "aria-valuetext": text,
        },
        inner,
      ),
    );
  }
  return element("section", { class: "card", "data-kind": name.toLowerCase() }, ...parts);
}

function listing(name, headings, rows) {
  const head = element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  const inside = rows.length
    ? element("table", {}, element("thead", {}, head), element("tbody", {}, ...body))
    : element("p", { class: "soft" }, "None yet.");
  return element("section", { class: "card" }, element("h2", {}, name), inside);
}
