// C++'s new and delete, in every form, reach umpa, whichever engine it is over.
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
	void *t = ::operator new[](300000, std::nothrow);
	void *u = ::operator new(0);
	page *r = new page[3];
	line *s = new line;
	volatile size_t too_much = PTRDIFF_MAX;
	bool refused = false;

	EXPECT(umpas(p));
	EXPECT(umpas(q));
	EXPECT(umpas(t));
	EXPECT(u);
	EXPECT(umpas(r) && reinterpret_cast<uintptr_t>(r) % 4096 == 0);
	EXPECT(reinterpret_cast<uintptr_t>(s) % 64 == 0);
	try {
		::operator delete(::operator new(too_much));
	} catch (const std::bad_alloc &) {
		refused = true;
	}
	EXPECT(refused);
	EXPECT(!::operator new(too_much, std::nothrow));
	EXPECT(!::operator new[](too_much, std::nothrow));
	delete[] p;
	::operator delete(q, 2000000);
	delete[] r;
	delete s;
	::operator delete[](t, std::nothrow);
	::operator delete(u);
	return 9;
}

/* A handler is called until it gives up, or throws. */
static unsigned nhandled;

static void handle()
{
	if (++nhandled == 3)
		std::set_new_handler(nullptr);
}

static unsigned long handler()
{
	volatile size_t too_much = PTRDIFF_MAX;
	bool refused = false;

	std::set_new_handler(handle);
	try {
		::operator delete(::operator new(too_much));
	} catch (const std::bad_alloc &) {
		refused = true;
	}
	EXPECT(refused && nhandled == 3);
	return 1;
}

static unsigned long overaligned()
{
	auto *p = new page;
	auto *q = new line[40000];

	EXPECT(umpas(p) && reinterpret_cast<uintptr_t>(p) % 4096 == 0);
	EXPECT(umpas(q) && reinterpret_cast<uintptr_t>(q) % 64 == 0);
	delete p;
	::operator delete[](q, 40000 * sizeof(*q), std::align_val_t(64));
	return 2;
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

	n += handler();
	n += overaligned();
	n += containers();
	n += at_thread_exit();
	return expect_end(n);
}
