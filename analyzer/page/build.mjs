// Bundles the page into one HTML file: node build.mjs OUTPUT (in a folder with node_modules).
// Script and style are inlined, and the content security policy allows these two by their
// hashes and nothing else: no network, no other script, whatever a recording contains.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const output = process.argv[2];

async function bundle(entry, loader = {}) {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    // d3-flame-graph tells its nodes by the name of their class.
    keepNames: true,
    format: 'iife',
    target: ['chrome109', 'firefox113', 'safari16.4'],
    legalComments: 'inline',
    charset: 'ascii',
    loader,
    write: false,
    logLevel: 'warning',
  });
  return result.outputFiles[0].text;
}

/** Inside an element, its closing tag would end it. */
function harmless(text) {
  return text.replace(/<\/(script|style)/gi, '<\\/$1').trim();
}

function hash(text) {
  return `'sha256-${createHash('sha256').update(text, 'utf8').digest('base64')}'`;
}

const script = harmless(
  // d3-flame-graph brings a style that the page's own replaces.
  await bundle('src/main.js', { '.css': 'empty' }),
);
const style = harmless(await bundle('src/style.css'));
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');
const parts = { POLICY: policy, STYLE: style, SCRIPT: script };
const template = await readFile('src/page.html', 'utf8');
await writeFile(output, template.replace(/@(POLICY|STYLE|SCRIPT)@/g, (_, name) => parts[name]));
