/* What a guest's system calls are given, on a machine over a fake /dev/kvm: page tables that lead
 * anywhere, and whether each byte is taken from where it is seen. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>

#include "core/core.h"
#include "os/process.h"
#include "support/check.h"
#include "support/fake_kvm.h"
#include "support/fake_os.h"
#include "support/numbers.h"
#include "vmm/lead.h"
#include "vmm/machine.h"

#define MIB ((size_t)1 << 20)

enum {
	NPAGES = 1024, /* two superpages */
	NENTRIES = 6
};

static struct umpa_vmm *vmm;
static struct umpa_guest *g;
static char *block;
static struct umpa_led led;

static void begin(void)
{
	umpa_core_stop();
	fake_reset();
	fake_kvm_reset();
	umpa_core_start();
	block = umpa_alloc(4 * MIB, UMPA_ALIGN(21));
	fake_touch(block, 4 * MIB);
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	g = &vmm->cpu[0].guest;
}

static void end(void)
{
	umpa_vmm_destroy(vmm);
	umpa_free(block);
}

static char *page(size_t i)
{
	return block + i * 4096;
}

static int lead(uint64_t number, const void *addr, size_t n, uint64_t d, const void *e, uint64_t f)
{
	struct umpa_call call = {number, {3, (uintptr_t)addr, n, d, (uintptr_t)e, f}};

	return umpa_lead(g, &call, &led);
}

/* Where a byte is for the host; NULL: nowhere. */
static const char *place_of(const char *addr)
{
	return (uintptr_t)addr - g->base < g->nbytes ? umpa_g_home(g, addr) : addr;
}

/* Bytes from addr on that are somewhere. */
static size_t nseen(const char *addr, size_t nbytes)
{
	size_t n = 0;

	while (n < nbytes && place_of(addr + n))
		n += 4096 - ((uintptr_t)(addr + n) & 4095);
	return n < nbytes ? n : nbytes;
}

/* Pieces give, from *at on, what is seen at addr. Result: so much of it; *at goes on. */
static size_t ngiven(struct iovec **at, const struct iovec *end, const char *addr, size_t nbytes)
{
	size_t n = 0;

	while (*at < end && n < nbytes) {
		const char *from = (*at)->iov_base;

		for (size_t i = 0; i < (*at)->iov_len; i++)
			if (n + i >= nbytes || place_of(addr + n + i) != from + i)
				return SIZE_MAX;
		n += (*at)->iov_len;
		++*at;
	}
	return n;
}

/* Most lead elsewhere, some nowhere, some on in a row. */
static void lead_anywhere(struct numbers *n)
{
	umpa_g_map(g, block, block, NPAGES);
	for (int i = 0; i < 40; i++) {
		size_t npages = 1 + number_below(n, 20);
		size_t at = number_below(n, (uint32_t)(NPAGES - npages));

		if (number_below(n, 8))
			umpa_g_map(g, page(at), page(number_below(n, (uint32_t)(NPAGES - npages))),
				npages);
		else
			umpa_g_unmap(g, page(at), npages);
	}
}

static char *anywhere(struct numbers *n)
{
	return block + number_below(n, (NPAGES - 130) * 4096);
}

static unsigned wrong_buffer(struct numbers *n)
{
	char *addr = anywhere(n);
	size_t nbytes = number_below(n, 130 * 4096), seen = nseen(addr, nbytes);
	struct iovec *at = led.piece;
	int error = lead(SYS_pread64, addr, nbytes, 77, NULL, 0);

	if (error || !nbytes)
		return error != (seen || !nbytes ? 0 : -EFAULT);
	if (led.ncopies)
		return led.call.argument[1] != (uintptr_t)led.given || nbytes > sizeof(led.given) ||
		       seen != nbytes;
	if (led.call.number == SYS_pread64)
		return (const char *)led.call.argument[1] != umpa_g_home(g, addr) ||
		       led.call.argument[2] != seen;
	if (led.call.number != SYS_preadv || led.call.argument[3] != 77 || led.npieces < 2)
		return 1;
	seen = led.npieces == LED_NPIECES_MAX ? ngiven(&at, led.piece + led.npieces, addr, nbytes)
					      : seen;
	at = led.piece;
	return led.call.argument[2] != led.npieces ||
	       ngiven(&at, led.piece + led.npieces, addr, nbytes) != seen;
}

static unsigned wrong_list(struct numbers *n)
{
	static char outside[8192];
	struct iovec v[NENTRIES], *at = led.piece, *end;
	int error, is_home = 1;
	size_t i = 0, total = 0;

	for (i = 0; i < NENTRIES; i++) {
		v[i] = (struct iovec){anywhere(n), number_below(n, 5) * number_below(n, 4096)};
		if (!number_below(n, 4))
			v[i] = (struct iovec){outside, number_below(n, sizeof(outside))};
		for (size_t k = 0; k < v[i].iov_len; k += 64)
			is_home &= place_of((char *)v[i].iov_base + k) == (char *)v[i].iov_base + k;
		total += v[i].iov_len;
	}
	error = lead(SYS_writev, v, NENTRIES, 0, NULL, 0);
	if (!error && led.call.argument[1] == (uintptr_t)v)
		return !is_home;
	end = led.piece + led.npieces;
	for (i = 0; i < NENTRIES; i++) {
		size_t seen = nseen(v[i].iov_base, v[i].iov_len);

		if (error)
			return error != -EFAULT || (!i && seen);
		if (ngiven(&at, end, v[i].iov_base, v[i].iov_len) != seen)
			return 1;
		if (seen < v[i].iov_len)
			break;
	}
	return at != end || !total;
}

/* Whatever page tables say, buffers and lists are of what is seen, as far as there is any. */
TEST(lead_gives_what_is_seen)
{
	struct numbers numbers = numbers_of_seed(check_seed(9));
	unsigned nwrong = 0;

	PLAN(2);
	begin();
	for (uint64_t i = 0; i < check_times(300); i++) {
		lead_anywhere(&numbers);
		for (int k = 0; k < 4; k++)
			nwrong += wrong_buffer(&numbers) + wrong_list(&numbers);
	}
	CHECK_EQ(nwrong, 0);
	end();
}

/* A window's end is no end of a buffer. */
TEST(lead_goes_on_beyond_the_window)
{
	char *last = (char *)g->base;

	PLAN(5);
	begin();
	last = (char *)g->base + g->nbytes - 4096;
	CHECK(!lead(SYS_write, last, 8192, 0, NULL, 0));
	CHECK(led.npieces == 2 && led.piece[1].iov_base == last + 4096);
	CHECK(!lead(SYS_write, (char *)g->base - 4096, 8192, 0, NULL, 0));
	CHECK(led.call.number == SYS_write && led.call.argument[1] == g->base - 4096);
	end();
}

static socklen_t length = 40;

/* A datagram in pieces is a message, and what the message says goes where the call wanted it. */
TEST(lead_makes_messages)
{
	struct sockaddr_storage name;
	socklen_t kept = length;

	PLAN(15);
	begin();
	umpa_g_map(g, page(1), page(9), 1);
	CHECK(!lead(SYS_recvfrom, page(0), 8192, 5, &name, (uintptr_t)&length));
	CHECK(led.call.number == SYS_recvmsg && led.call.argument[2] == 5);
	CHECK(led.call.argument[1] == (uintptr_t)&led.message && led.message.msg_iovlen == 2);
	CHECK(led.message.msg_name == &name && led.message.msg_namelen == 40);
	led.message.msg_namelen = 11;
	CHECK_EQ(umpa_led_result(g, &led, -EAGAIN), -EAGAIN);
	CHECK_EQ(length, kept);
	CHECK_EQ(umpa_led_result(g, &led, 8192), 8192);
	CHECK_EQ(length, 11);
	length = kept;
	CHECK_EQ(lead(SYS_recvfrom, page(0), 8192, 0, &name, 0x10), -EFAULT);
	CHECK_EQ(lead(SYS_sendto, page(0), 8192, 0, &name, 1000), -EINVAL);
	CHECK_EQ(lead(SYS_sendto, page(0), 8192, 0, &name, (uint64_t)-1), -EINVAL);
	CHECK(!lead(SYS_sendto, page(0), 8192, 0, NULL, (uint64_t)-1) && !led.message.msg_namelen);
	umpa_g_unmap(g, page(1), 1);
	CHECK_EQ(lead(SYS_sendto, page(0), 8192, 0, NULL, 0), -EFAULT);
	CHECK(!lead(SYS_write, page(0), 8192, 0, NULL, 0) && led.call.argument[2] == 4096);
	end();
}

/* Of a message all is led, or it is refused; one that needs nothing stays as it is. */
TEST(lead_writes_messages_anew)
{
	struct iovec v[2];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	PLAN(14);
	begin();
	v[0] = (struct iovec){page(0), 4096};
	v[1] = (struct iovec){&m, 8};
	CHECK(!lead(SYS_recvmsg, &m, 0, 0, NULL, 0) && led.call.argument[1] == (uintptr_t)&m);
	CHECK_EQ(umpa_led_result(g, &led, 5), 5);
	umpa_g_map(g, page(0), page(7), 1);
	CHECK(!lead(SYS_recvmsg, &m, 0, 0, NULL, 0) && led.message.msg_iovlen == 2);
	CHECK(led.piece[0].iov_base == page(7) && led.piece[1].iov_base == &m);
	led.message.msg_flags = MSG_TRUNC;
	CHECK(umpa_led_result(g, &led, 5) == 5 && m.msg_flags == MSG_TRUNC && m.msg_iov == v);
	/* What must be in one place. */
	m.msg_control = page(3) - 8;
	m.msg_controllen = 16;
	CHECK(!lead(SYS_sendmsg, &m, 0, 0, NULL, 0) && led.message.msg_control == page(3) - 8);
	umpa_g_map(g, page(2), page(8), 2);
	CHECK(!lead(SYS_sendmsg, &m, 0, 0, NULL, 0) && led.message.msg_control == page(9) - 8);
	umpa_g_map(g, page(3), page(17), 1);
	CHECK_EQ(lead(SYS_sendmsg, &m, 0, 0, NULL, 0), -EFAULT);
	m.msg_controllen = 0;
	m.msg_name = page(3) - 8;
	m.msg_namelen = 16;
	CHECK_EQ(lead(SYS_sendmsg, &m, 0, 0, NULL, 0), -EFAULT);
	m.msg_name = NULL;
	umpa_g_unmap(g, page(0), 1);
	CHECK_EQ(lead(SYS_sendmsg, &m, 0, 0, NULL, 0), -EFAULT);
	CHECK_EQ(lead(SYS_sendmsg, (void *)0x10, 0, 0, NULL, 0), -EFAULT);
	/* The kernel refuses. */
	m.msg_iovlen = IOV_MAX + 1;
	CHECK(!lead(SYS_sendmsg, &m, 0, 0, NULL, 0));
	CHECK(!lead(SYS_readv, v, IOV_MAX + 1, 0, NULL, 0));
	end();
}

/* Of many messages those that are at home go as they are; one that is led goes by itself. */
TEST(lead_takes_messages_one_by_one)
{
	struct iovec home, away;
	struct mmsghdr m[3] = {{.msg_len = 0}};

	PLAN(10);
	begin();
	home = (struct iovec){page(0), 4096};
	away = (struct iovec){page(4), 8192};
	umpa_g_map(g, page(5), page(9), 1);
	for (int i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = i < 2 ? &home : &away, .msg_iovlen = 1};
	CHECK(!lead(SYS_sendmmsg, m, 2, 0, NULL, 0) && led.call.argument[2] == 2);
	CHECK(!lead(SYS_sendmmsg, m, 3, 0, NULL, 0) && led.call.argument[2] == 2);
	CHECK(led.call.number == SYS_sendmmsg && umpa_led_result(g, &led, 2) == 2);
	CHECK(!lead(SYS_recvmmsg, &m[2], 1, MSG_WAITFORONE | MSG_PEEK, NULL, 0));
	CHECK(led.call.number == SYS_recvmsg && led.call.argument[2] == MSG_PEEK);
	CHECK(led.message.msg_iovlen == 2 && led.piece[1].iov_base == page(9));
	CHECK_EQ(umpa_led_result(g, &led, -EAGAIN), -EAGAIN);
	led.message.msg_flags = MSG_TRUNC;
	CHECK_EQ(umpa_led_result(g, &led, 8000), 1);
	CHECK(m[2].msg_len == 8000 && m[2].msg_hdr.msg_flags == MSG_TRUNC);
	end();
}

/* --- copies ------------------------------------------------------------------------------- */

/* Two pages that lie apart, with a text across their end. */
static char *apart(const char *text, size_t before)
{
	char *at = page(1) - before;

	umpa_g_map(g, page(1), page(9), 1);
	for (size_t i = 0; i <= strlen(text); i++)
		*(char *)umpa_g_home(g, at + i) = text[i];
	return at;
}

static char at_home(const char *addr)
{
	return *(char *)umpa_g_home(g, addr);
}

/* A struct in two places: the call gets what is there, and what it changes comes back; what others
 * have written meanwhile stays. */
TEST(lead_copies_structs)
{
	char *at;

	PLAN(9);
	begin();
	at = apart("0123456789abcdefghijklmnopqrstu", 7);
	CHECK(!lead(SYS_clock_gettime, at, 0, 0, NULL, 0));
	CHECK(!memcmp((char *)led.call.argument[1], "0123456789abcdef", 16));
	memcpy((char *)led.call.argument[1] + 5, "wxyz", 4);
	*(char *)umpa_g_home(g, at + 2) = '!';
	*(char *)umpa_g_home(g, at + 12) = '?';
	CHECK_EQ(umpa_led_result(g, &led, -EINTR), -EINTR);
	CHECK(at_home(at + 4) == '4' && at_home(at + 5) == 'w' && at_home(at + 8) == 'z');
	CHECK(at_home(at + 2) == '!' && at_home(at + 12) == '?' && at_home(at + 9) == '9');
	/* It went while the call took. */
	CHECK(!lead(SYS_clock_gettime, at, 0, 0, NULL, 0));
	*(char *)(led.call.argument[1] + 9) = 'x';
	umpa_g_unmap(g, page(1), 1);
	CHECK_EQ(umpa_led_result(g, &led, 0), -EFAULT);
	CHECK_EQ(lead(SYS_clock_gettime, at, 0, 0, NULL, 0), -EFAULT);
	end();
}

/* Names, several at a time, and what has no copy. */
TEST(lead_copies_names)
{
	char *at, *other;

	PLAN(13);
	begin();
	at = apart("/a/name/in/two/pages", 5);
	CHECK(!lead(SYS_openat, at, O_RDONLY, 0, NULL, 0));
	CHECK_STR((char *)led.call.argument[1], "/a/name/in/two/pages");
	CHECK_EQ(umpa_led_result(g, &led, 3), 3);
	other = page(3) - 3;
	umpa_g_map(g, page(3), page(12), 1);
	CHECK(!umpa_lead(g,
		&(struct umpa_call){SYS_newfstatat, {3, (uintptr_t)at, (uintptr_t)other, 0}},
		&led));
	CHECK(led.ncopies == 2 && led.copied[1].nbytes == sizeof(struct stat));
	CHECK_STR((char *)led.call.argument[1], "/a/name/in/two/pages");
	memset((void *)led.call.argument[2], 5, sizeof(struct stat));
	CHECK_EQ(umpa_led_result(g, &led, 0), 0);
	CHECK(at_home(other) == 5 && at_home(other + sizeof(struct stat) - 1) == 5);
	/* Its place matters; more than there is room for; a name without end. */
	CHECK_EQ(umpa_lead(
			 g, &(struct umpa_call){SYS_futex, {(uintptr_t)(page(1) - 2), 1, 1}}, &led),
		-EFAULT);
	CHECK_EQ(umpa_lead(g, &(struct umpa_call){SYS_poll, {(uintptr_t)at, 513}}, &led), -EFAULT);
	memset(umpa_g_home(g, page(1)), 'x', 4096);
	CHECK_EQ(lead(SYS_openat, at, O_RDONLY, 0, NULL, 0), -EFAULT);
	CHECK_EQ(lead(SYS_msgrcv, at, 3, 0, NULL, 0), -EFAULT);
	end();
}

/* --- limits ------------------------------------------------------------------------------- */

/* Two lists' worth of pages, each apart from the next. */
TEST(lead_takes_so_many_pieces)
{
	struct iovec v[2] = {{page(0), NPAGES * 4096}, {page(0), NPAGES * 4096}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	PLAN(11);
	begin();
	v[0].iov_base = v[1].iov_base = block;
	for (size_t i = 0; i < NPAGES; i++)
		umpa_g_map(g, page(i), page(NPAGES - 1 - i), 1);
	CHECK(!lead(SYS_write, block, NPAGES * 4096, 0, NULL, 0) && led.npieces == NPAGES);
	CHECK(!lead(SYS_writev, v, 2, 0, NULL, 0) && led.call.argument[2] == LED_NPIECES_MAX);
	CHECK_EQ(lead(SYS_sendmsg, &m, 0, 0, NULL, 0), -EFAULT);
	/* Nothing is in no place. */
	v[0].iov_len = v[1].iov_len = 0;
	CHECK(!lead(SYS_writev, v, 2, 0, NULL, 0) && led.call.argument[1] == (uintptr_t)v);
	/* What is small goes at once. */
	CHECK(!lead(SYS_write, page(1) - 4, 8, 0, NULL, 0) && led.call.number == SYS_write);
	CHECK(led.call.argument[1] == (uintptr_t)led.given && led.call.argument[2] == 8);
	/* The kernel refuses, and so says why. */
	CHECK(!lead(SYS_read, page(1) - 4, SIZE_MAX, 0, NULL, 0));
	CHECK(led.call.number == SYS_read && led.call.argument[2] == SIZE_MAX);
	CHECK(!lead(SYS_readv, block, SIZE_MAX, 0, NULL, 0) && led.call.argument[2] == SIZE_MAX);
	/* A name is no longer than the longest. */
	m = (struct msghdr){.msg_name = page(1) - 128, .msg_namelen = 400};
	CHECK(!lead(SYS_recvmsg, &m, 0, 0, NULL, 0));
	end();
}

/* What the kernel writes does not go to pages that may not be written: it is cut, or refused. */
TEST(lead_writes_to_open_pages_alone)
{
	static char name[5000];
	struct iovec list[2];

	PLAN(17);
	begin();
	for (int split = 0; split < 2; split++) {
		size_t closed = split ? 3 : 512;

		umpa_g_map(g, block, block, NPAGES);
		umpa_g_protect(g, page(closed), split ? 1 : 512, 0);
		CHECK_EQ(lead(SYS_read, page(closed), 100, 0, NULL, 0), -EFAULT);
		CHECK_EQ(lead(SYS_write, page(closed), 100, 0, NULL, 0), 0);
		CHECK(!lead(SYS_read, page(closed - 1) + 96, 8000, 0, NULL, 0) &&
			led.call.argument[2] == 4000);
		CHECK_EQ(lead(SYS_fstat, page(closed) + 8, 0, 0, NULL, 0), -EFAULT);
		CHECK_EQ(lead(SYS_recvfrom, page(closed - 1), 5000, 0, NULL, 0), -EFAULT);
		list[0] = (struct iovec){name, sizeof(name)};
		list[1] = (struct iovec){page(closed - 1), 8192};
		CHECK(!lead(SYS_writev, list, 2, 0, NULL, 0) && !led.npieces);
		CHECK(!lead(SYS_readv, list, 2, 0, NULL, 0) && led.npieces == 2 &&
			led.piece[0].iov_base == name &&
			led.piece[1].iov_base == page(closed - 1) && led.piece[1].iov_len == 4096);
		list[0] = list[1];
		list[0].iov_base = page(closed);
		CHECK_EQ(lead(SYS_readv, list, 1, 0, NULL, 0), -EFAULT);
	}
	end();
}

/* Nor is a copy brought back there; what has not changed need not be. */
TEST(lead_brings_back_to_open_pages_alone)
{
	PLAN(4);
	begin();
	umpa_g_map(g, page(5), page(900), 1);
	umpa_g_protect(g, page(5), 1, 0);
	CHECK(!lead(SYS_epoll_ctl, NULL, 0, (uintptr_t)page(4) + 4090, NULL, 0) && led.ncopies);
	CHECK_EQ(umpa_led_result(g, &led, 0), 0);
	led.given[11]++;
	CHECK_EQ(umpa_led_result(g, &led, 0), -EFAULT);
	end();
}

/* Of this process as if it were another: where it is seen, or not at all. */
TEST(lead_looks_at_what_is_said_to_be_anothers)
{
	struct iovec own = {NULL, 64}, other = {NULL, 64};
	struct umpa_call call = {
		SYS_process_vm_writev, {0, (uintptr_t)&own, 1, (uintptr_t)&other, 1}};

	PLAN(6);
	begin();
	own.iov_base = page(1);
	other.iov_base = page(2);
	call.argument[0] = (uint64_t)umpa_process_id();
	CHECK_EQ(umpa_lead(g, &call, &led), 0);
	umpa_g_protect(g, page(2), 1, 0);
	CHECK_EQ(umpa_lead(g, &call, &led), -EFAULT);
	call.number = SYS_process_vm_readv;
	CHECK_EQ(umpa_lead(g, &call, &led), 0);
	umpa_g_map(g, page(2), page(7), 1);
	CHECK_EQ(umpa_lead(g, &call, &led), -EFAULT);
	call.argument[0]++;
	CHECK_EQ(umpa_lead(g, &call, &led), 0);
	end();
}
