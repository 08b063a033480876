// Puts the page together: who is signed in, which view is shown.

import { session } from "./api.js";
import { alertBox, byId, element } from "./dom.js";
import * as agents from "./agents.js";
import * as chat from "./chat.js";
import * as overview from "./overview.js";
import * as plugins from "./plugins.js";
import * as review from "./review.js";
import * as signin from "./signin.js";
import * as storage from "./storage.js";

const everyone = () => true;
const user = () => session.me !== null;
const admin = () => Boolean(session.me?.is_admin);
const VIEWS = [
  { path: "#/", name: "Server", view: overview, open: everyone },
  { path: "#/chat", name: "Chat", view: chat, open: user },
  { path: "#/agents", name: "Agents", view: agents, open: user },
  { path: "#/storage", name: "Storage", view: storage, open: user },
  { path: "#/plugins", name: "Plugins", view: plugins, open: user },
  { path: "#/review", name: "Review", view: review, open: admin },
];
const SIGN_IN = { path: "#/signin", name: "Sign in", view: signin, open: everyone };

let leave = null; // ends what the view shown does by itself

function showNav(current) {
  const items = VIEWS.filter((each) => each.open()).map((each) =>
    element("li", {}, element("a", { href: each.path, "aria-current": each === current && "page" }, each.name)),
  );
  byId("nav").replaceChildren(...items);
  const out = element(
    "button",
    { type: "button", class: "quiet", onclick: () => session.signOut().catch(() => {}) },
    "Sign out",
  );
  const who = session.me
    ? [
        element("span", { class: "who" }, session.me.email),
        element("span", { class: "badge plain" }, session.me.tier),
        out,
      ]
    : [element("a", { class: "button quiet", href: SIGN_IN.path }, "Sign in")];
  byId("account").replaceChildren(...who);
}

async function show({ focus = true, notice = "" } = {}) {
  leave?.abort();
  leave = new AbortController();
  const { signal } = leave;
  const wanted = [...VIEWS, SIGN_IN].find((each) => each.path === (location.hash || "#/")) ?? VIEWS[0];
  const chosen = wanted.open() ? wanted : SIGN_IN;
  showNav(chosen);
  document.title = `${chosen.name} · Adiuva`;
  const heading = element("h1", { tabindex: -1 }, chosen.view.heading);
  const content = element("div", { class: "view" });
  byId("main").replaceChildren(heading, ...(notice ? [alertBox(notice)] : []), content);
  if (focus) heading.focus({ preventScroll: true });
  scrollTo(0, 0);
  try {
    // The wish that led to the sign-in is kept in the address: it is shown once that is done.
    await chosen.view.show(content, signal, wanted.path);
  } catch (error) {
    if (!signal.aborted) content.prepend(alertBox(error.message));
  }
}

session.addEventListener("change", (event) => {
  chat.forget();
  if (!session.me && location.hash !== "#/") history.replaceState(null, "", "#/");
  show({ notice: event.detail ?? "" });
});
addEventListener("hashchange", () => {
  if (location.hash !== "#main") show();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});

let notice = "";
try {
  await session.resume();
} catch (error) {
  notice = error.message;
}
show({ focus: false, notice });
