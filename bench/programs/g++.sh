# g++ -O2: templates over templates of the standard library.
. "${0%/*}/common"
commands=g++
packages=g++

prepare()
{
	cat >big.cc <<'CXX'
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>
CXX
	i=1
	while [ $i -le "$(pick 1 2)" ]; do
		cat <<CXX
struct item$i {
	std::string name;
	double weights[$i];
	bool operator<(const item$i &other) const { return name < other.name; }
};
using store$i = std::map<std::string, std::vector<std::tuple<int, item$i>>>;
using either$i = std::variant<int, item$i, std::vector<item$i>, std::shared_ptr<store$i>>;
std::size_t work$i(store$i &store, std::unordered_map<int, either$i> &index)
{
	std::multiset<item$i> all;
	std::vector<std::function<int(const item$i &)>> steps;
	for (auto &[key, list] : store) {
		std::stable_sort(list.begin(), list.end(), [](const auto &a, const auto &b) {
			return std::get<1>(b) < std::get<1>(a); });
		for (auto &entry : list) {
			all.insert(std::get<1>(entry));
			steps.push_back([entry](const item$i &x) { return std::get<0>(entry) + (int)x.name.size(); });
		}
	}
	for (auto &[number, what] : index)
		std::visit([&](auto &one) {
			using type = std::decay_t<decltype(one)>;
			if constexpr (std::is_same_v<type, item$i>)
				all.insert(one);
			else if constexpr (std::is_same_v<type, std::vector<item$i>>)
				all.insert(one.begin(), one.end());
		}, what);
	std::size_t sum = 0;
	for (auto &x : all)
		for (auto &step : steps)
			sum += (std::size_t)step(x);
	return sum;
}
CXX
		i=$((i + 1))
	done >>big.cc
}

run()
{
	g++ -std=c++17 "$(pick -O0 -O2)" -c big.cc -o big.o
	cksum big.o
}

main "$@"
