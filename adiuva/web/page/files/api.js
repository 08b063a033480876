// The session and its calls. The access token lives in a variable only. The refresh token is kept in sessionStorage, so
// that reloading the page does not sign out; that storage belongs to one tab, ends with it, and is never sent by itself
// as a cookie would be. localStorage would outlive the tab. The policy of this page lets no foreign script run that
// could read either.

const BASE = "/api/v1";
const KEPT = "adiuva.refresh";
const EARLY = 60_000; // ms before its end that an access token is replaced

export class Problem extends Error {
  constructor(body, status, retryAfter) {
    super(body.detail || body.title || `The server answered ${status}.`);
    Object.assign(this, { status, code: body.code ?? "", errors: body.errors ?? [], checkoutUrl: body.checkout_url });
    this.retryAfter = retryAfter;
  }
}

class Session extends EventTarget {
  #access = "";
  #expires = 0;
  #refreshing = null;
  // A duplicated tab has the same refresh token: it has to hear of its successor, or would look like a thief.
  #others = new BroadcastChannel("adiuva.session");
  me = null;
  limit = 20; // requests a minute, as the last answer told

  constructor() {
    super();
    this.#others.addEventListener("message", ({ data }) => {
      if (data.spent !== sessionStorage.getItem(KEPT)) return;
      if (data.successor) sessionStorage.setItem(KEPT, data.successor);
      else this.#forget();
    });
  }

  // Goes on with the login of this tab, if it has one.
  async resume() {
    if (!sessionStorage.getItem(KEPT)) return;
    try {
      this.me = await this.call("GET", "/auth/me");
    } catch (error) {
      if (error.status !== 401) throw error;
    }
  }

  // The caller shows what is next: `change` is for what nobody here asked for.
  async signIn(path, email, password) {
    this.#take(await this.send("POST", path, { email, password }));
    this.me = await this.call("GET", "/auth/me");
  }

  async signOut() {
    const kept = sessionStorage.getItem(KEPT);
    this.#forget();
    if (!kept) return;
    this.#others.postMessage({ spent: kept });
    await this.send("POST", "/auth/logout", { refresh_token: kept });
  }

  // One call as the user who is signed in; a token that has ended is replaced, once.
  async call(method, path, body) {
    if (Date.now() > this.#expires - EARLY) await this.#refresh();
    try {
      return await this.send(method, path, body, this.#access);
    } catch (error) {
      if (error.status !== 401 || error.code === "invalid_credentials") throw error;
      await this.#refresh();
      return this.send(method, path, body, this.#access);
    }
  }

  // One call, without a token unless there is one.
  async send(method, path, body, token = "") {
    const headers = new Headers();
    if (token) headers.set("Authorization", `Bearer ${token}`);
    if (body !== undefined) headers.set("Content-Type", "application/json");
    let answer;
    try {
      const content = body === undefined ? undefined : JSON.stringify(body);
      answer = await fetch(BASE + path, { method, headers, body: content, cache: "no-store", credentials: "omit" });
    } catch {
      throw new Problem({ detail: "The server does not answer. Is it running?", code: "unreachable" }, 0);
    }
    if (token) this.limit = Number(answer.headers.get("RateLimit-Limit")) || this.limit;
    if (answer.status === 204) return null;
    const said = await answer.json().catch(() => ({}));
    if (answer.ok || path === "/health/ready") return said;
    throw new Problem(said, answer.status, Number(answer.headers.get("Retry-After")) || 0);
  }

  #refresh() {
    this.#refreshing ??= this.#exchange().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #exchange() {
    const kept = sessionStorage.getItem(KEPT);
    if (!kept) throw new Problem({ detail: "Sign in first.", code: "unauthorized" }, 401);
    try {
      this.#take(await this.send("POST", "/auth/refresh", { refresh_token: kept }));
      this.#others.postMessage({ spent: kept, successor: sessionStorage.getItem(KEPT) });
    } catch (error) {
      if (error.status === 401) this.#forget("Your session has ended. Sign in again.");
      throw error;
    }
  }

  #take(tokens) {
    this.#access = tokens.access_token;
    this.#expires = Date.now() + tokens.expires_in * 1000;
    sessionStorage.setItem(KEPT, tokens.refresh_token);
  }

  #forget(reason = "") {
    const wasIn = this.me !== null;
    this.#access = "";
    this.#expires = 0;
    this.me = null;
    sessionStorage.removeItem(KEPT);
    if (wasIn) this.dispatchEvent(new CustomEvent("change", { detail: reason }));
  }
}

export const session = new Session();
