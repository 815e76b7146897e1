// The live page of a server of its own, in a tab of its own.

import assert from "node:assert/strict";
import { DESKTOP, NETWORK, profile } from "./browser.mjs";
import { PATIENCE, Server } from "./server.mjs";

export const LANES = ["poll", "long-poll", "sse", "websocket"];
/** The channel that the page opens. */
const CHANNEL = "demo/test";

export class Tab {
  /**
   * Opens one, and waits until its lanes are connected; `t` fails with whatever the page says on the console.
   *
   * - `isCutOff`: what a browser says by itself about connections that fail is no fault
   * - `prepare`: is called with the Playwright context before the page is loaded
   * - `through`: makes of the server the proxy through which the page is loaded
   * - `of`: the server whose page it is, if not one of its own
   * - all else: options of the Playwright context
   */
  static async open(t, { fragment = `#${CHANNEL}`, isCutOff, prepare, through, of, ...options } = {}) {
    const tab = new Tab();
    const context = await profile({ viewport: DESKTOP, ...options });
    await prepare?.(context);
    tab.page = await context.newPage();
    tab.page.setDefaultTimeout(PATIENCE);
    const said = [];
    const say = (text) => (isCutOff && NETWORK.test(text) ? undefined : said.push(text));
    tab.page.on("pageerror", (error) => say(error.stack));
    tab.page.on("console", (message) => say(message.text()));
    t.after(async () => {
      await context.close();
      assert.deepEqual(said, [], "nothing is said on the console");
    });
    // Ended after the page, which would complain.
    tab.server = of ?? (await Server.start(t));
    tab.proxy = await through?.(tab.server);
    await tab.page.goto(`${(tab.proxy ?? tab.server).url}/${fragment}`);
    await tab.until((lanes) => lanes.every(({ state }) => state === "on"));
    return tab;
  }

  /** Waits until `condition`, a function of the lanes and an argument, holds in the page. */
  async until(condition, argument) {
    const deadline = Date.now() + PATIENCE;
    const test = `import("/-/page.js").then(({ lanes }) => (${condition})(lanes, ${JSON.stringify(argument)}))`;
    while (!(await this.page.evaluate(test))) {
      if (Date.now() < deadline) continue;
      const seen = await this.look(({ key, state, detail, record: { tally } }) => ({ key, state, detail, events: tally.events }));
      throw new Error(`not seen: ${condition}\n${JSON.stringify(seen)}`);
    }
  }

  /** What `pick` makes of each lane. */
  look(pick) {
    return this.page.evaluate(`import("/-/page.js").then(({ lanes }) => lanes.map(${pick}))`);
  }

  lane(key) {
    return this.page.locator(`[data-way=${key}]`);
  }

  /** Moves a slider to its `step`. */
  async slide(selector, step) {
    await this.page.locator(selector).fill(String(step));
  }

  /** Publishes from elsewhere. */
  async publish(count) {
    for (let number = 0; number < count; number += 1) await this.server.publish(CHANNEL, `from elsewhere ${number}`);
  }

  /** Hides or shows the tab, as far as the page can tell. */
  async show(isShown) {
    await this.page.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, !isShown);
  }

  words(key, text) {
    return this.lane(key).locator(".words", { hasText: text }).waitFor();
  }

  /** Waits until each lane has so many events. */
  async has(count) {
    await this.until((lanes, count) => lanes.every(({ record: { tally } }) => tally.events === count), count);
  }

  /** How many requests the server counted for each lane. */
  async requests() {
    const tokens = await this.look(({ token }) => token);
    const answer = await fetch(`${this.server.url}/-/lanes/${tokens}`);
    return (await answer.json()).lanes.map(({ requests }) => requests);
  }

  /** Waits until the page shows this sentence. */
  sentence(text) {
    return this.page.getByText(text).first().waitFor();
  }

  /** What was announced to who listens to the page, from now on. */
  async announcements() {
    await this.page.evaluate(() => {
      window.announced = [];
      const region = document.querySelector("#news");
      new MutationObserver(() => window.announced.push(region.textContent)).observe(region, { childList: true });
    });
    return () => this.page.evaluate("window.announced");
  }
}
