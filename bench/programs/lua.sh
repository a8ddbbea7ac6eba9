# lua: trees, tables and strings; nothing but small blocks.
. "${0%/*}/common"
commands=lua5.4
packages=lua5.4

prepare()
{
	cat >work.lua <<'LUA'
local depth, n = tonumber(arg[1]), tonumber(arg[2])
local function tree(d)
	if d == 0 then return {} end
	return {tree(d - 1), tree(d - 1)}
end
local function count(t)
	return t[1] and 1 + count(t[1]) + count(t[2]) or 1
end
local kept = tree(depth)
for d = 4, depth, 2 do
	local sum = 0
	for _ = 1, 1 << (depth - d) do sum = sum + count(tree(d)) end
	print(d, sum)
end
print(count(kept))
local names, parts = {}, {}
for i = 1, n do
	local name = "n" .. (i * 7919) % n
	names[name] = (names[name] or 0) + i
	parts[i] = name
end
table.sort(parts)
local s = table.concat(parts)
print(#s, parts[1], parts[n], select(2, s:gsub("n1", "m")))
LUA
}

run()
{
	lua5.4 work.lua "$(pick 8 14)" "$(pick 5000 200000)"
}

main "$@"
