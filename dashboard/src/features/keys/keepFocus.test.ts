import { it, vi } from "vitest";
import { keepFocus } from "@/features/keys/keepFocus";

const at = (id: string) => document.getElementById(id) as HTMLElement;
const hasFocus = (selector: string) =>
  vi.waitUntil(() => document.activeElement?.matches(selector), { timeout: 30_000 });

it("the focus of what is gone goes to the row that had it last, and of a row to its list", async () => {
  document.body.innerHTML = `
    <main tabindex="-1"><h1 tabindex="-1">Topics</h1>
      <div id="rows" tabindex="0"><a data-row href="#a" id="a">a</a></div>
      <section><button id="close">Close</button></section>
    </main>`;
  const stop = keepFocus();
  at("a").focus();
  at("close").focus();
  at("close").remove();
  await hasFocus("#a");
  at("a").remove();
  await hasFocus("#rows");
  stop();
});

it("the focus of a dialog that has gone is given to the one below it, and not to the page", async () => {
  document.body.innerHTML = `
    <main tabindex="-1"><h1 tabindex="-1">API keys</h1><a data-row href="#a" id="a">a</a></main>
    <div role="dialog" tabindex="-1" id="below"></div>
    <div id="portal"><div role="dialog" tabindex="-1"><button id="done">Done</button></div></div>`;
  const stop = keepFocus();
  at("a").focus();
  at("done").focus();
  at("portal").remove();
  await hasFocus("#below");
  stop();
});
