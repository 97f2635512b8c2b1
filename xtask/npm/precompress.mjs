// Writes a .br and a .gz beside each compressible file of a directory, and prints a table of sizes.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const COMPRESSIBLE = new Set(['.css', '.html', '.js', '.json', '.mjs', '.svg', '.txt', '.wasm', '.webmanifest']);
const dir = process.argv[2];

const column = (value) => String(value).padStart(10);
console.log(`    ${column('raw')}${column('gzip')}${column('brotli')}  bytes`);
let total = [0, 0, 0];
for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath ?? entry.path, entry.name);
  if (!entry.isFile() || !COMPRESSIBLE.has(extname(entry.name))) continue;
  const raw = readFileSync(path);
  const gzip = gzipSync(raw, { level: 9 });
  const brotli = brotliCompressSync(raw, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: raw.length,
    },
  });
  for (const [suffix, packed] of [['.gz', gzip], ['.br', brotli]]) {
    if (packed.length < raw.length) writeFileSync(path + suffix, packed);
    else rmSync(path + suffix, { force: true });
  }
  const sizes = [raw.length, gzip.length, brotli.length];
  total = total.map((sum, index) => sum + sizes[index]);
  console.log(`    ${sizes.map(column).join('')}  ${relative(dir, path)}`);
}
console.log(`    ${total.map(column).join('')}  together`);
