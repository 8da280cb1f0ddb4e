// Looks at a page of `memtrack report --html` in Chromium as a person would.
//   node page_check.mjs TOOLS SCENARIO PAGE.html FACTS.json
// TOOLS: the folder whose node_modules has playwright-core. FACTS: what the page must show.
// Ends with 0, or prints what is wrong.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [tools, scenario, file, factsFile] = process.argv.slice(2);
const { chromium } = createRequire(join(tools, 'package.json'))('playwright-core');
const facts = JSON.parse(await readFile(factsFile, 'utf8'));
const ARGUMENTS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const exact = (title) => Number(title.replaceAll(',', '').replace('\u2212', '-'));
const figure = async (page, name) => exact(await page.getAttribute(`[data-figure=${name}]`, 'title'));

/** All rows of the table of sites, from top to bottom: [{ function, column: exact value }]. */
async function sitesShown(page) {
  const columns = await page.$$eval('.panel .table-heading [data-column]', (buttons) => buttons.map((button) => button.dataset.column));
  const shares = columns.includes('selfShare') ? ['self', 'total'] : [];
  const rows = new Map();
  for (let top = 0; ; top += 300) {
    await page.$eval('.panel .table-view', (view, y) => { view.scrollTop = y; }, top);
    await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
    const part = await page.$$eval('.panel .row', (drawn) => drawn.map((row) => [Number(row.getAttribute('aria-rowindex')),
      row.querySelector('.function').textContent, [...row.querySelectorAll('.cell.number span[title]')].map((cell) => cell.title)]));
    for (const [index, name, titles] of part) {
      rows.set(index, Object.fromEntries([['function', name], ...titles.map((title, i) => [shares[i] ?? columns[i + 1], exact(title)])]));
    }
    const isEnd = await page.$eval('.panel .table-view', (view) => view.scrollTop + view.clientHeight >= view.scrollHeight - 1);
    if (isEnd) {
      return [...rows.entries()].sort((a, b) => a[0] - b[0]).map(([, row]) => row);
    }
  }
}

function byFunction(rows, column) {
  const result = {};
  for (const row of rows) {
    if (row[column] !== 0) {
      result[row.function] = (result[row.function] ?? 0) + row[column];
    }
  }
  return result;
}

async function chooseTab(page, name) {
  await page.click(`#tab-${name}`);
  assert.equal(await page.getAttribute(`#tab-${name}`, 'aria-selected'), 'true');
}

async function chooseSnapshot(page, label, position) {
  await page.selectOption(`select[aria-label="${label} snapshot"]`, String(position));
}

const scenarios = {
  async numbers(page) {
    assert.equal(await figure(page, 'peak'), facts.totals.peak_bytes);
    assert.equal(await figure(page, 'live'), facts.totals.live_bytes);
    assert.equal(await figure(page, 'allocations'), facts.totals.allocations);
    assert.equal(await figure(page, 'temporary'), facts.totals.temporary_allocations);
    const rows = await sitesShown(page);
    assert.equal(rows.length, facts.sites.length);
    for (const [column, field] of [['live', 'live_bytes'], ['liveBlocks', 'live_blocks'], ['peak', 'peak_bytes'], ['allocated', 'allocated_bytes'],
      ['allocations', 'allocations'], ['temporary', 'temporary_allocations']]) {
      const expected = byFunction(facts.sites.map((site) => ({ function: site.location.function, value: site[field] })), 'value');
      assert.deepEqual(byFunction(rows, column), expected, column);
    }
  },

  async leaks(page) {
    const lost = facts.leaks.definite.bytes + facts.leaks.indirect.bytes;
    assert.ok(lost > 0);
    assert.equal(await figure(page, 'leaked'), lost);
    await chooseTab(page, 'leaks');
    assert.match(await page.textContent('.panel [aria-label="Lost blocks"]'), /session_open/);
    assert.match(await page.textContent('.panel [aria-label="Reachable blocks and their holders"]'), /audit_trail/);
  },

  async ledger(page) {
    await chooseTab(page, 'rss');
    assert.match(await page.textContent('.panel .lead'), /at the end/);
    const shown = await page.$$eval('.panel .row', (rows) => rows.map((row) => [row.querySelector('[data-item]').dataset.item,
      row.querySelector('.cell.number span[title]').title]));
    assert.deepEqual(Object.fromEntries(shown.map(([item, title]) => [item, exact(title)])), facts);
    // Words, not the recording's keys.
    assert.match(await page.textContent('.panel'), /asked for by the program/);
  },

  async callers(page) {
    const shown = await page.$$eval('.panel .row', (rows) => rows.map((row) => [row.querySelector('.cell.number span[title]').title,
      row.querySelector('.callers')?.textContent.split(' \u2190 __libc')[0] ?? null]));
    for (const [bytes, callers] of Object.entries(facts.callers)) {
      assert.equal(new Map(shown).get(bytes), callers, bytes);
    }
    assert.equal(await page.textContent('.facts h1'), facts.command);
  },

  async cpu(page) {
    await chooseTab(page, 'cpu');
    assert.doesNotMatch(await page.textContent('.panel'), /NaN|undefined/);
    const rows = await sitesShown(page);
    const shown = Object.fromEntries(rows.map((row) => [row.function, [row.self, row.total]]));
    assert.ok(facts.cpu.functions.length > 2);
    for (const { function: name, self, total } of facts.cpu.functions) {
      assert.deepEqual(shown[name], [self, total], name);
    }
    await chooseTab(page, 'flame');
    await page.selectOption('[data-role=metric]', 'cpu');
    assert.match(await page.textContent('.flame-detail'), new RegExp(`\\b${facts.cpu.samples}\\b`));
  },

  async views(page) {
    for (const name of ['flame', 'leaks', 'growth', 'cpu', 'rss', 'errors', 'sites']) {
      await chooseTab(page, name);
      const text = await page.textContent('.panel');
      assert.ok(text.trim().length > 20, name);
      assert.doesNotMatch(text, /NaN|undefined|\[object/, name);
    }
  },

  async sorting(page) {
    for (const column of ['allocations', 'peak', 'live']) {
      await page.click(`[data-column=${column}]`);
      const falling = (await sitesShown(page)).map((row) => row[column]);
      assert.deepEqual(falling, [...falling].sort((a, b) => b - a), column);
      await page.click(`[data-column=${column}]`);
      const rising = (await sitesShown(page)).map((row) => row[column]);
      assert.deepEqual(rising, [...rising].sort((a, b) => a - b), column);
      assert.notEqual(rising[0], rising[rising.length - 1]);
    }
    await page.click('[data-column=location]');
    const names = (await sitesShown(page)).map((row) => row.function);
    assert.deepEqual(names, [...names].sort(new Intl.Collator('en').compare));
  },

  async filtering(page) {
    const all = (await sitesShown(page)).length;
    const filter = async (text) => {
      await page.fill('.panel input[type=search]', text);
      await page.waitForTimeout(300);
      return (await page.$$eval('.panel .row .cell.text .function', (names) => names.map((name) => name.textContent)));
    };
    assert.deepEqual(await filter('audit_append'), ['audit_append']);
    assert.deepEqual((await filter('/^cache_ins|^audit_/')).sort(), ['audit_append', 'cache_insert']);
    // Callers count too: these are called by it.
    assert.ok((await filter('answer_request')).includes('cache_insert'));
    assert.deepEqual(await filter('no such function'), []);
    assert.equal((await filter('/(unclosed/')).length, all);
    assert.ok(await page.$('.panel input.wrong'));
    assert.equal((await filter('')).length, all);
  },

  async stacks(page) {
    await page.fill('.panel input[type=search]', 'audit_append');
    await page.waitForTimeout(300);
    await page.click('.panel .row');
    await page.waitForSelector('.panel .details .line'); // drawn in the next frame
    const lines = await page.$$eval('.panel .details .line', (all) => all.map((line) => line.textContent));
    assert.ok(lines.some((line) => line.includes('answer_request') && line.includes('service.c:')), lines.join('\n'));
    assert.ok(await page.$('.panel .details .source code'), 'source lines');
    await page.click('.panel .row');
    await page.waitForSelector('.panel .details', { state: 'detached' });
  },

  async moments(page) {
    await page.click('.mode[data-kind=moment]');
    for (const { snapshot, live } of facts.moments) {
      await chooseSnapshot(page, 'at', snapshot);
      assert.deepEqual(byFunction(await sitesShown(page), 'live'), live, `snapshot ${snapshot}`);
    }
  },

  async interval(page) {
    const over = await page.locator('.u-over').first().boundingBox();
    await page.mouse.move(over.x + over.width * 0.1, over.y + 40);
    await page.mouse.down();
    await page.mouse.move(over.x + over.width * 0.6, over.y + 40, { steps: 4 });
    await page.mouse.up();
    assert.equal(await page.getAttribute('.mode[data-kind=interval]', 'aria-pressed'), 'true');
    const chosen = await page.$$eval('.timeline select', (selects) => selects.map((select) => Number(select.value)));
    assert.ok(chosen[0] < chosen[1], String(chosen));
    const [first, last] = facts.moments;
    await chooseSnapshot(page, 'from', first.snapshot);
    await chooseSnapshot(page, 'to', last.snapshot);
    const expected = {};
    for (const name of new Set([...Object.keys(first.live), ...Object.keys(last.live)])) {
      const change = (last.live[name] ?? 0) - (first.live[name] ?? 0);
      if (change !== 0) {
        expected[name] = change;
      }
    }
    assert.deepEqual(byFunction(await sitesShown(page), 'live'), expected);
    await chooseTab(page, 'flame');
    const metric = await page.$eval('[data-role=metric]', (select) => select.selectedOptions[0].textContent);
    assert.match(metric, /difference/);
    const names = await page.$$eval('.flame g', (frames) => frames.map((frame) => frame.getAttribute('name')));
    assert.ok(names.includes('audit_append'), names.join(' '));
  },

  async clicking(page) {
    const over = await page.locator('.u-over').first().boundingBox();
    await page.mouse.click(over.x + over.width * 0.5, over.y + 40);
    assert.equal(await page.getAttribute('.mode[data-kind=moment]', 'aria-pressed'), 'true');
    await page.keyboard.press('0');
    assert.equal(await page.getAttribute('.mode[data-kind=run]', 'aria-pressed'), 'true');
  },

  async flames(page) {
    await chooseTab(page, 'flame');
    const widths = () => page.$$eval('.flame g', (frames) => Object.fromEntries(frames.map((frame) => [frame.getAttribute('name'), Number(frame.getAttribute('width'))])));
    for (const metric of ['allocated', 'allocations', 'peak', 'temporary', 'live']) {
      await page.selectOption('[data-role=metric]', metric);
      assert.ok(Object.keys(await widths()).length > 3, metric);
    }
    const before = await widths();
    assert.ok(before.audit_append < before.all / 2);
    await page.click('.flame g[name=audit_append]');
    const after = await widths();
    assert.ok(after.audit_append > 0.99 * after.all, JSON.stringify(after));
    await page.click('[data-role=reset]');
    assert.deepEqual(await widths(), before);
    await page.fill('.panel input[type=search]', 'audit_append');
    await page.waitForTimeout(300);
    const share = facts.sites.filter((site) => site.location.function === 'audit_append').reduce((sum, site) => sum + site.live_bytes, 0) / facts.totals.live_bytes;
    assert.match(await page.textContent('.panel .toolbar'), new RegExp(`${(100 * share).toFixed(1)} % match`));
    await page.click('text=Callers');
    assert.ok((await widths()).cache_insert > 0);
  },

  async keys(page) {
    await page.keyboard.press('2');
    assert.equal(await page.getAttribute('#tab-flame', 'aria-selected'), 'true');
    await page.keyboard.press('1');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    assert.ok(await page.isVisible('dialog'));
    await page.keyboard.press('Escape');
    assert.ok(!(await page.isVisible('dialog')));
    await page.focus('.panel .table-view');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    assert.ok(await page.waitForSelector('.panel .details'));
    await page.keyboard.press(']');
    assert.equal(await page.getAttribute('.mode[data-kind=moment]', 'aria-pressed'), 'true');
  },

  async colours(page) {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await ground();
    assert.notEqual(light, dark);
    await page.click('[data-role=theme]');
    await page.click('[data-role=theme]');
    assert.equal(await ground(), light, 'light by choice');
  },

  async narrow(page) {
    await page.setViewportSize({ width: 360, height: 700 });
    for (const name of ['sites', 'flame', 'leaks', 'growth', 'cpu', 'rss', 'errors']) {
      await chooseTab(page, name);
      const extent = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(extent[0] <= extent[1], `${name}: ${extent}`);
    }
    await chooseTab(page, 'sites');
    assert.equal(await page.$eval('.panel [data-column=allocations]', (button) => button.offsetParent), null);
    assert.ok(await page.isVisible('.panel .row .function'));
  },

  async hostile(page) {
    const elements = await page.$$eval('*', (all) => all.map((each) => each.tagName.toLowerCase()));
    for (const name of ['img', 'iframe', 'object', 'embed', 'link', 'a', 'form', 'base']) {
      assert.ok(!elements.includes(name), name);
    }
    let text = '';
    for (const name of ['sites', 'flame', 'leaks', 'growth', 'cpu', 'rss', 'errors']) {
      await chooseTab(page, name);
      text += await page.evaluate(() => document.body.textContent);
      assert.equal((await page.$$('script')).length, 1, name);
    }
    assert.ok(text.includes('</script><b>'), 'the name is shown as text');
    assert.ok(!/[\u0000-\u0008\u000e-\u001f\u202a-\u202e]/.test(text), 'commands are shown as numbers');
    const policy = await page.getAttribute('meta[http-equiv="Content-Security-Policy"]', 'content');
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
  },

  async processes(page) {
    const count = await page.$$eval('[data-role=process] option', (options) => options.length);
    assert.equal(count, facts.processes.length);
    for (let i = 0; i < count; i++) {
      await page.selectOption('[data-role=process]', String(i));
      assert.equal(await figure(page, 'allocations'), facts.processes[i]);
    }
  },

  async large(page) {
    const rows = Number(await page.getAttribute('.panel .table', 'aria-rowcount'));
    assert.equal(rows, facts.sites);
    assert.ok((await page.$$('.panel .row')).length < 100);
    await page.focus('.panel .table-view');
    await page.keyboard.press('End');
    await page.waitForSelector(`.panel .row[aria-rowindex="${rows}"]`);
    await chooseTab(page, 'flame');
    const frames = (await page.$$('.flame g')).length;
    assert.ok(frames > 50 && frames <= 3000, String(frames));
    await page.click('.mode[data-kind=interval]');
    await chooseTab(page, 'sites');
    assert.ok(await page.$('.panel .row'));
  },
};

const profile = await mkdtemp(join(tmpdir(), 'memtrack-page-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium', args: ARGUMENTS, viewport: { width: 1280, height: 900 }, colorScheme: 'light',
});
try {
  const page = context.pages()[0] ?? await context.newPage();
  const problems = [];
  page.on('console', (message) => problems.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => problems.push(`exception: ${error.stack}`));
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    if (!request.url().startsWith('file:') && !request.url().startsWith('blob:')) {
      problems.push(`request: ${request.url()}`);
    }
  });
  await page.goto(pathToFileURL(file).href);
  await page.waitForSelector('html[data-ready]', { timeout: 30000 });
  await scenarios[scenario](page);
  assert.deepEqual(problems, []);
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
