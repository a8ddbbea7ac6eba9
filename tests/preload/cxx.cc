// C++'s new and delete, in every form, reach umpa through malloc.
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "expect.h"

struct alignas(4096) page {
	char content[100000];
};

struct alignas(64) line {
	char content[64];
};

static unsigned long operators()
{
	char *p = new char[1000000];
	void *q = ::operator new(2000000, std::nothrow);
	page *r = new page[3];
	line *s = new line;
	volatile size_t too_much = PTRDIFF_MAX;
	bool refused = false;

	EXPECT(umpas(p));
	EXPECT(umpas(q));
	EXPECT(umpas(r) && reinterpret_cast<uintptr_t>(r) % 4096 == 0);
	EXPECT(reinterpret_cast<uintptr_t>(s) % 64 == 0);
	try {
		::operator delete(::operator new(too_much));
	} catch (const std::bad_alloc &) {
		refused = true;
	}
	EXPECT(refused);
	EXPECT(!::operator new(too_much, std::nothrow));
	delete[] p;
	::operator delete(q, 2000000);
	delete[] r;
	delete s;
	return 6;
}

static unsigned long containers()
{
	std::vector<std::string> v;
	size_t total = 0;

	for (unsigned i = 0; i < 100000; i++)
		v.push_back(std::to_string(i));
	for (const auto &s : v)
		total += s.size();
	EXPECT(total == 488890);
	return 1;
}

static thread_local std::vector<int> each_threads;

static unsigned long at_thread_exit()
{
	for (unsigned i = 0; i < 50; i++)
		std::thread([] { each_threads.assign(100000, 7); }).join();
	EXPECT(each_threads.empty());
	return 1;
}

int main()
{
	unsigned long n = operators();

	n += containers();
	n += at_thread_exit();
	return expect_end(n);
}
