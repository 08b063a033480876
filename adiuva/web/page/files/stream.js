// One socket for the chat. It opens with a ticket, which works once, so that no token stands in an address.

import { Problem, session } from "./api.js";

const UNAUTHORIZED = 4401; // the token has ended: a new ticket opens a new socket

const cancelled = () => new Problem({ detail: "Cancelled.", code: "cancelled" }, 0);

export class Stream {
  #socket = null;
  #running = null;
  #givenUp = false; // before the socket was open

  // Sends a request, and gives the `done` frame. `on` has a function for each other type of frame.
  // Throws a Problem; its code is "cancelled" where the request was cancelled.
  async ask(request, on) {
    this.#givenUp = false;
    const socket = await this.#open();
    if (this.#givenUp) throw cancelled();
    return new Promise((resolve, reject) => {
      this.#running = { resolve, reject, on };
      socket.send(JSON.stringify(request));
    }).finally(() => (this.#running = null));
  }

  cancel() {
    this.#givenUp = true;
    if (this.#running && this.#socket) this.#socket.send(JSON.stringify({ type: "cancel" }));
  }

  close() {
    this.#socket?.close();
    this.#socket = null;
  }

  async #open() {
    if (this.#socket?.readyState === WebSocket.OPEN) return this.#socket;
    const { ticket } = await session.call("POST", "/auth/ticket");
    const address = new URL("/api/v1/chat/stream", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("ticket", ticket);
    const socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener(
        "error",
        () => reject(new Problem({ detail: "The connection for the chat could not be opened." }, 0)),
        { once: true },
      );
    });
    socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(data)));
    socket.addEventListener("close", ({ code }) => this.#lost(socket, code));
    this.#socket = socket;
    return socket;
  }

  #take(frame) {
    const running = this.#running;
    if (!running) return;
    if (frame.type === "done") running.resolve(frame);
    else if (frame.type === "cancelled") running.reject(cancelled());
    else if (frame.type === "error") running.reject(new Problem({ detail: frame.message, code: frame.code }, 0));
    else running.on[frame.type]?.(frame);
  }

  #lost(socket, code) {
    if (this.#socket === socket) this.#socket = null;
    const why =
      code === UNAUTHORIZED
        ? "Your session has ended. Send it again to go on."
        : `The connection was lost (${code}). Send it again.`;
    this.#running?.reject(new Problem({ detail: why, code: "connection_lost" }, 0));
  }
}
