// Beside each file of the pages its gzip and brotli forms, made once here and not at each request.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

const COMPRESSED = /\.(?:js|css|svg|json|txt)$/;
// A smaller file fits into one packet as it is.
const LEAST_BYTES = 1_400;

const toBrotli = promisify(brotliCompress);
const toGzip = promisify(gzip);

export async function forms(content: Buffer): Promise<Map<string, Buffer>> {
  if (content.length < LEAST_BYTES) return new Map();
  const [br, gz] = await Promise.all([
    toBrotli(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }),
    toGzip(content, { level: 9 }),
  ]);
  const made: [string, Buffer][] = [
    [".br", br],
    [".gz", gz],
  ];
  return new Map(made.filter(([, form]) => form.length < content.length));
}

export function precompressed(): Plugin {
  return {
    apply: "build",
    name: "precompressed",
    async writeBundle(options) {
      const folder = join(options.dir ?? "dist", "assets");
      for (const name of await readdir(folder)) {
        if (!COMPRESSED.test(name)) continue;
        const path = join(folder, name);
        for (const [suffix, form] of await forms(await readFile(path))) {
          await writeFile(path + suffix, form);
        }
      }
    },
  };
}
