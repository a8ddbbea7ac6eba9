// A program that replaces operator new and delete in their simplest form alone: every other form must go
// through these, as the language says.
#include <cstdlib>
#include <new>

#include "expect.h"

static const uint64_t MARK = 0x5ca1ab1e;
static unsigned long nnews, ndeletes;
static bool fails;

void *operator new(size_t nbytes)
{
	uint64_t *p = fails ? nullptr : static_cast<uint64_t *>(std::malloc(nbytes + 16));

	if (!p)
		throw std::bad_alloc();
	nnews++;
	*p = MARK;
	return p + 2;
}

void operator delete(void *p) noexcept
{
	uint64_t *own = static_cast<uint64_t *>(p) - 2;

	if (!p)
		return;
	EXPECT(*own == MARK);
	ndeletes++;
	*own = 0;
	std::free(own);
}

static unsigned long forms(size_t nbytes)
{
	void *p;

	nnews = ndeletes = 0; /* an engine may have had some before */
	::operator delete(::operator new(nbytes), nbytes);
	::operator delete[](::operator new[](nbytes));
	::operator delete[](::operator new[](nbytes), nbytes);
	p = ::operator new(nbytes, std::nothrow);
	::operator delete(p, std::nothrow);
	p = ::operator new[](nbytes, std::nothrow);
	::operator delete[](p, std::nothrow);
	EXPECT(nnews == 5 && ndeletes == 5);
	fails = true;
	EXPECT(!::operator new(nbytes, std::nothrow));
	EXPECT(!::operator new[](nbytes, std::nothrow));
	fails = false;
	return 5 + 3;
}

int main()
{
	unsigned long n = forms(100);

	n += forms(1000000);
	return expect_end(n);
}
