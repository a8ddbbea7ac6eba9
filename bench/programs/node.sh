# node: objects, strings and typed arrays under a garbage collector that maps memory itself.
. "${0%/*}/common"
commands=node
packages=nodejs

prepare()
{
	cat >work.js <<'JS'
const crypto = require("crypto"), zlib = require("zlib");
const n = Number(process.argv[2]);
const rows = [];
for (let i = 0; i < n; i++)
	rows.push({id: i, name: "n" + (i * 7919) % n, tags: [i % 7, i % 11], x: i / 7});
const text = JSON.stringify(rows);
const again = JSON.parse(text);
console.log(text.length, again.length, crypto.createHash("sha256").update(text).digest("hex"));
again.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : b.id - a.id));
console.log(again[0], again[n - 1]);
const names = new Map();
for (const row of again)
	names.set(row.name, (names.get(row.name) || 0) + row.x);
console.log(names.size);
let buffers = [], total = 0;
for (let i = 0; i < n / 250; i++) {
	const b = Buffer.alloc(65536 + (i * 7919) % 1000000, i % 251);
	buffers.push(b);
	if (buffers.length > 32)
		total += buffers.splice(i % 32, 1)[0].length;
}
const z = zlib.deflateSync(Buffer.concat(buffers.slice(0, 8)), {level: 1});
console.log(total, z.length, zlib.inflateSync(z).length);
let s = 0;
for (let i = 0; i < n / 5000; i++) {
	const f = new Float64Array(200000).map((_, j) => Math.sqrt(j + i));
	s += f[i] + f.sort()[1000];
}
console.log(s);
JS
}

run()
{
	node work.js "$(pick 4000 100000)"
}

main "$@"
