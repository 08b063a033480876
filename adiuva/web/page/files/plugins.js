// The marketplace: browse, install with the permissions that are shown, uninstall.

import { session } from "./api.js";
import { alertBox, announce, badge, busy, definitions, element, field, money, number, title } from "./dom.js";

export const heading = "Plugins";

export async function show(content, signal) {
  const installed = element("ul", { class: "grid plain", "aria-label": "Installed plugins" });
  const found = element("ul", { class: "grid plain", "aria-label": "Plugins of the marketplace" });
  const more = element("button", { type: "button", class: "quiet", hidden: true }, "More");
  const count = element("p", { class: "soft small", role: "status" });
  const faults = element("div");
  let page = 1;
  let open = true;

  const draw = (list, items, { keep = false } = {}) => {
    const cards = items.map((plugin) => card(plugin, reload, faults, open));
    if (keep) list.append(...cards);
    else list.replaceChildren(...cards);
  };

  async function loadInstalled() {
    const { items } = await session.call("GET", "/plugins/installed?limit=100");
    draw(installed, items);
    if (!items.length) installed.replaceChildren(element("li", { class: "soft" }, "None yet."));
  }

  async function loadFound(next = 1) {
    page = next;
    const query = new URLSearchParams({ page, sort: sort.control.value });
    if (words.control.value.trim()) query.set("q", words.control.value.trim());
    try {
      const { items, total, limit } = await session.call("GET", `/plugins?${query}`);
      draw(found, items, { keep: page > 1 });
      count.textContent = total === 1 ? "1 plugin" : `${number(total)} plugins`;
      more.hidden = page * limit >= total;
    } catch (error) {
      if (error.code !== "tier_required") throw error;
      open = false;
      search.hidden = true;
      found.replaceChildren(
        element(
          "li",
          { class: "note" },
          "The marketplace is part of the tiers Power and Team. An operator can give you one: adiuva admin set-tier.",
        ),
      );
    }
  }

  const reload = async () => {
    await loadFound();
    await loadInstalled();
  };
  const guarded = (work) => async (event) => {
    event?.preventDefault();
    faults.replaceChildren();
    try {
      await work();
    } catch (error) {
      faults.replaceChildren(alertBox(error.message));
    }
  };

  const words = field("Search", element("input", { type: "search", maxlength: 200 }));
  const options = { rating: "best rated", installs: "most installed", newest: "newest" };
  const sort = field(
    "Order",
    element("select", {}, ...Object.entries(options).map(([value, text]) => element("option", { value }, text))),
  );
  const search = element(
    "form",
    { class: "row search", role: "search", onsubmit: guarded(() => loadFound()) },
    words.box,
    sort.box,
    element("button", { type: "submit" }, "Find"),
  );
  sort.control.addEventListener(
    "change",
    guarded(() => loadFound()),
  );
  more.addEventListener(
    "click",
    guarded(() => loadFound(page + 1)),
  );
  await loadFound();
  await loadInstalled();
  if (signal.aborted) return;
  content.append(
    faults,
    element("section", { "aria-label": "Installed" }, element("h2", {}, "Installed"), installed),
    element("section", { "aria-label": "Marketplace" }, element("h2", {}, "Marketplace"), search, count, found, more),
  );
}

function card(plugin, reload, faults, open) {
  const rating =
    plugin.avg_rating === null
      ? "not rated yet"
      : `${plugin.avg_rating.toFixed(1)} of 5 (${number(plugin.rating_count)})`;
  const pending = plugin.pending_permissions ?? [];
  const run = (button, said, work) => () =>
    busy(button, async () => {
      faults.replaceChildren();
      try {
        await work();
        const list = button.closest("ul");
        await reload();
        const next = list.querySelector(`[data-plugin="${plugin.id}"] button`) ?? document.querySelector("h1");
        next.focus();
        announce(`${plugin.name} ${said}.`);
      } catch (error) {
        faults.replaceChildren(problem(error));
        faults.scrollIntoView({ block: "nearest" });
      }
    });
  const install = () =>
    session.call("POST", `/plugins/${plugin.id}/install`, { accept_permissions: plugin.permissions });
  const remove = () => session.call("DELETE", `/plugins/${plugin.id}/install`);
  const button = (text, kind, said, work) => {
    const made = element("button", { type: "button", class: kind, "aria-label": `${text} ${plugin.name}` }, text);
    made.addEventListener("click", run(made, said, work));
    return made;
  };
  const actions = plugin.installed
    ? [button("Uninstall", "quiet", "is uninstalled", remove)]
    : open
      ? [button("Install", "", "is installed", install)]
      : [];
  if (open && pending.length) actions.unshift(button("Accept what it asks for", "", "has its permissions", install));
  return element(
    "li",
    { class: "card plugin", "data-plugin": plugin.id },
    element(
      "div",
      { class: "row spread" },
      element("h3", {}, plugin.name),
      element(
        "span",
        {},
        plugin.status === "approved" ? null : badge(title(plugin.status), "warn"),
        plugin.installed ? badge("installed", "good") : null,
      ),
    ),
    element(
      "p",
      { class: "soft small" },
      `${plugin.id} ${plugin.version} · ${plugin.category} · ${money(plugin.price_cents, plugin.currency)}`,
    ),
    element("p", { class: "about" }, plugin.description),
    permissions(plugin.permissions),
    pending.length ? element("p", { class: "note" }, `It also asks for: ${pending.join(", ")}.`) : null,
    definitions(
      [
        ["rating", rating],
        ["installs", number(plugin.install_count)],
      ],
      { class: "figures" },
    ),
    element("div", { class: "row" }, ...actions),
  );
}

export function permissions(names) {
  const text = names.length ? "It may:" : "It asks for no permissions.";
  return element(
    "div",
    { class: "rights" },
    element("span", { class: "soft small" }, text),
    names.length
      ? element("ul", { class: "chips" }, ...names.map((name) => element("li", {}, element("code", {}, name))))
      : null,
  );
}

function problem(error) {
  const pays = /^https?:\/\//.test(error.checkoutUrl ?? "");
  return alertBox(
    error.message,
    pays ? element("a", { href: error.checkoutUrl, target: "_blank", rel: "noopener noreferrer" }, "Pay for it") : null,
  );
}
