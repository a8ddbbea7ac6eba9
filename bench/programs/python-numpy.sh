# python3 with numpy: expressions over arrays, each with temporaries of 8 MiB and more.
. "${0%/*}/common"
commands=python3
packages="python3-numpy"

check()
{
	python3 -c 'import numpy' 2>/dev/null || missing numpy
}

prepare()
{
	cat >work.py <<'PYTHON'
import sys
import numpy as np

size, rounds = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(2011)
a, b = rng.random(size), rng.random(size)
total = 0.0
for i in range(rounds):
    c = a * b + np.sqrt(a + 1) - b / (a + 2)
    d = np.where(c > 1, c, -c) * (b - a) + np.abs(c)
    e = np.concatenate([d[::2], c[1::2]])
    a = (e - e.min()) / (e.max() - e.min())
    total += float(d.sum())
    table = d[: size // 64 * 64].reshape(-1, 64)
    total += float((table - table.mean(axis=1, keepdims=True)).std())
    z = np.zeros(size // 2)
    z[::7] = 1
    total += float(z.sum())
h = np.histogram(a, bins=20)[0]
print(total.hex(), h.tolist(), np.sort(a)[:: size // 10].tolist())
PYTHON
}

run()
{
	python3 work.py "$(pick 100000 2000000)" "$(pick 5 12)"
}

main "$@"
