// Checks job summaries as GitHub reads them: every Mermaid block with Mermaid's own parser, every table with as many cells in
// each row as in its head, and every <details> closed. usage: NODE_MODULES=FOLDER node summaries.mjs SUMMARY.md...
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const modules = createRequire(pathToFileURL(`${process.env.NODE_MODULES}/`));
const { JSDOM } = modules("jsdom");
const { window } = new JSDOM("");
// Mermaid looks for a browser when it is loaded.
Object.assign(globalThis, { window, document: window.document });
// Both are modules, which `require` does not take.
const mermaid = (await import(pathToFileURL(`${process.env.NODE_MODULES}/mermaid/dist/mermaid.core.mjs`))).default;
const { marked } = await import(pathToFileURL(`${process.env.NODE_MODULES}/marked/lib/marked.esm.js`));

let charts = 0, tables = 0;
const bad = [];
const walk = (tokens, tell) => {
    for (const token of tokens ?? []) {
        tell(token);
        walk(token.tokens, tell);
        for (const item of token.items ?? []) walk([item], tell);
    }
};
for (const file of process.argv.slice(2)) {
    const text = readFileSync(file, "utf8");
    const blocks = [];
    walk(marked.lexer(text), (token) => {
        if (token.type === "code" && token.lang === "mermaid") blocks.push(token.text);
        if (token.type === "table") {
            tables += 1;
            const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).length;
            const rows = token.raw.trim().split("\n");
            if (new Set(rows.map(cells)).size !== 1) bad.push(`${file}: a table whose rows differ: ${rows[0]}`);
        }
    });
    for (const block of blocks) {
        charts += 1;
        await mermaid.parse(block).catch((error) => bad.push(`${file}: ${error.message}`));
    }
    const count = (tag) => text.split(tag).length - 1;
    if (count("<details") !== count("</details>")) bad.push(`${file}: <details> are left open`);
}
for (const line of bad) console.log(line);
console.log(`${charts} charts and ${tables} tables checked, ${bad.length} bad`);
process.exit(bad.length > 0 || charts === 0 ? 1 : 0);
