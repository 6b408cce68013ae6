// The key of the server: asked for when the server wants one, and kept by this tab alone.

import { keepKey, readKey } from "./server.js";

export class KeyForm {
  // `onKey` is called when the key is another one.
  constructor(onKey) {
    this.form = document.getElementById("key-form");
    this.input = document.getElementById("key");
    this.opener = document.getElementById("open-key");
    this.opener.addEventListener("click", () => {
      this.setOpen(this.form.hidden);
      if (!this.form.hidden) this.input.focus();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      keepKey(this.input.value.trim());
      this.setOpen(false);
      onKey();
    });
    document.getElementById("forget-key").addEventListener("click", () => {
      keepKey("");
      this.input.value = "";
      onKey();
    });
    this.input.value = readKey();
  }

  setOpen(isOpen) {
    this.form.hidden = !isOpen;
    this.opener.setAttribute("aria-expanded", isOpen);
  }

  // Shows the field for a key, because the server wants one.
  open() {
    this.setOpen(true);
    this.input.focus();
    this.input.select();
  }
}
