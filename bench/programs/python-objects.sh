# python3: dictionaries, lists, texts, JSON and sorting; buffers that grow.
. "${0%/*}/common"
commands=python3
packages=python3

prepare()
{
	cat >work.py <<'PYTHON'
import hashlib
import json
import sys

n = int(sys.argv[1])
rows = [{"id": i, "name": "n%d" % (i * 7919 % n), "tags": [str(i % 7), str(i % 11)],
         "x": i / 7} for i in range(n)]
text = json.dumps(rows)
again = json.loads(text)
print(len(text), hashlib.sha256(text.encode()).hexdigest(), again == rows)
by_name = {}
for row in again:
    by_name.setdefault(row["name"][:4], []).append(row)
print(len(by_name), max(len(v) for v in by_name.values()))
rows.sort(key=lambda r: (r["name"], -r["id"]))
print(rows[0], rows[-1])
del again, by_name
numbers = [(j * 7919) % 1000003 for j in range(n * 4)]
numbers += numbers[::-1]
numbers.sort()
print(numbers[len(numbers) // 2], len(set(numbers)))
grown = bytearray()
for i in range(n // 50):
    grown += bytes([i % 251]) * 5000
print(len(grown), hashlib.sha256(grown).hexdigest())
words = text.replace(",", " ").split()
counts = {}
for word in words:
    counts[word] = counts.get(word, 0) + 1
print(len(words), sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:5])
PYTHON
}

run()
{
	python3 work.py "$(pick 5000 60000)"
}

main "$@"
