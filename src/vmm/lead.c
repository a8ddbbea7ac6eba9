#include "vmm/lead.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/units.h"
#include "os/process.h"
#include "vmm/peers.h"

/* --- where it is -------------------------------------------------------------------------- */

/* Where page tables may lead elsewhere. */
static int is_led(const struct umpa_guest *g, const char *addr)
{
	return (uintptr_t)addr - g->base < g->nbytes;
}

/* How many of nbytes from addr on, in the window, lie for the host as they are seen: in one row,
 * from their home on. */
static size_t in_a_row(struct umpa_guest *g, const char *addr, size_t nbytes)
{
	const char *home = umpa_peers_home(g, addr);
	size_t n = 0;

	while (home && n < nbytes && is_led(g, addr + n) &&
		umpa_peers_home(g, addr + n) == home + n) {
		int split = umpa_g_is_split(*umpa_g_pte(g, addr + n, 1));
		size_t one = split ? PAGE_NBYTES : SLOT_NBYTES;

		n += one - ((uintptr_t)(addr + n) & (one - 1));
	}
	return n < nbytes ? n : nbytes;
}

/* How many of nbytes from addr on, from the front, lie in pages that may be written. */
static size_t nbytes_open(struct umpa_guest *g, const char *addr, size_t nbytes)
{
	size_t n = 0;

	while (n < nbytes) {
		uintptr_t at = (uintptr_t)addr + n;
		size_t step = at < g->base ? g->base - at : nbytes - n;

		if (is_led(g, addr + n)) {
			uint64_t entry =
				__atomic_load_n(umpa_g_pte(g, addr + n, 1), __ATOMIC_ACQUIRE);
			size_t one = umpa_g_is_split(entry) ? PAGE_NBYTES : SLOT_NBYTES;

			if (umpa_g_is_split(entry) && !umpa_peers_has_table(g, entry))
				break;
			if (umpa_g_is_split(entry))
				entry = *umpa_g_pte(g, addr + n, 0);
			if (!(entry & UMPA_G_WRITABLE))
				break;
			step = one - (at & (one - 1));
		}
		n = step < nbytes - n ? n + step : nbytes;
	}
	return n;
}

/* It is where it is seen. */
static int is_at_home(struct umpa_guest *g, const void *addr, size_t nbytes)
{
	return !is_led(g, addr) ||
	       (umpa_peers_home(g, addr) == addr && in_a_row(g, addr, nbytes) >= nbytes);
}

/* The next of nbytes: where it is for the host, and how much of it. 0 bytes: nowhere. */
static struct iovec next_piece(struct umpa_guest *g, char *addr, size_t nbytes)
{
	size_t before = g->base - (uintptr_t)addr; /* the window, if that comes */

	if (is_led(g, addr))
		return (struct iovec){umpa_peers_home(g, addr), in_a_row(g, addr, nbytes)};
	return (struct iovec){addr, before < nbytes ? before : nbytes};
}

/* Adds what lies from addr on, as far as it is anywhere and there is room. Result: so much. */
static size_t add_pieces(struct umpa_guest *g, struct umpa_led *led, char *addr, size_t nbytes)
{
	size_t n = 0;

	while (n < nbytes && led->npieces < LED_NPIECES_MAX) {
		struct iovec piece = next_piece(g, addr + n, nbytes - n);

		if (!piece.iov_len)
			break;
		led->piece[led->npieces++] = piece;
		n += piece.iov_len;
	}
	return n;
}

/* --- memory of a guest that may be anywhere, or nowhere ----------------------------------- */

static int copy(uint64_t number, void *own, uintptr_t addr, size_t nbytes)
{
	struct iovec here = {own, nbytes}, there = {(void *)addr, nbytes};
	uint64_t argument[6] = {
		(uint64_t)umpa_process_id(), (uintptr_t)&here, 1, (uintptr_t)&there, 1};

	return umpa_process_call(number, argument) == (long)nbytes ? 0 : -EFAULT;
}

static int copy_in(void *own, uintptr_t from, size_t nbytes)
{
	return copy(SYS_process_vm_readv, own, from, nbytes);
}

static int copy_out(void *own, uintptr_t to, size_t nbytes)
{
	return copy(SYS_process_vm_writev, own, to, nbytes);
}

/* --- buffers ------------------------------------------------------------------------------ */

/* A pointer to what is of unknown length: so much of it must be in a row. */
enum {
	GUESS_NBYTES = 65536
};

static size_t nbytes_of(const struct umpa_call *call, const struct umpa_call_buffer *b)
{
	size_t nbytes = b->nbytes ? b->nbytes : GUESS_NBYTES;

	if (b->nbytes_at >= 0 &&
		__builtin_mul_overflow(nbytes, call->argument[b->nbytes_at], &nbytes))
		nbytes = SIZE_MAX;
	return nbytes;
}

/* --- copies --- */

/* Between the guest's memory, wherever its pages are, and a copy. Result: bytes, from the front, up
 * to a page that is nowhere, or may not be used. */
static size_t copy_pages(struct umpa_guest *g, char *addr, char *own, size_t nbytes,
	int (*way)(void *own, uintptr_t addr, size_t nbytes))
{
	size_t n = 0;

	while (n < nbytes) {
		size_t of_page = PAGE_NBYTES - (uintptr_t)(addr + n) % PAGE_NBYTES;
		struct iovec piece =
			next_piece(g, addr + n, nbytes - n < of_page ? nbytes - n : of_page);

		if (!piece.iov_len ||
			(way == copy_out &&
				nbytes_open(g, addr + n, piece.iov_len) < piece.iov_len) ||
			way(own + n, (uintptr_t)piece.iov_base, piece.iov_len))
			break;
		n += piece.iov_len;
	}
	return n;
}

/* The call gets a copy of nbytes; of a text, so much or up to its end. */
static int give_copy(
	struct umpa_guest *g, struct umpa_led *led, uint64_t *argument, size_t nbytes, int is_text)
{
	struct umpa_led_copy c = {(char *)*argument, led->copies_nbytes, nbytes};
	size_t room = LED_COPY_NBYTES_MAX - c.at;
	char *own = led->given + c.at;

	if (led->ncopies == LED_NCOPIES_MAX || (!is_text && nbytes > room))
		return -EFAULT;
	c.nbytes = copy_pages(g, c.addr, own, is_text ? room : nbytes, copy_in);
	if (is_text ? !memchr(own, 0, c.nbytes) : c.nbytes < nbytes)
		return -EFAULT;
	if (is_text)
		c.nbytes = strlen(own) + 1;
	memcpy(led->was + c.at, own, c.nbytes);
	led->copied[led->ncopies++] = c;
	led->copies_nbytes += (c.nbytes + 15) & ~(size_t)15;
	*argument = (uintptr_t)own;
	return 0;
}

/* What the call has changed, and no more: others may write to the rest meanwhile. */
static int bring_back(struct umpa_guest *g, const struct umpa_led *led)
{
	for (unsigned i = 0; i < led->ncopies; i++) {
		const struct umpa_led_copy *c = &led->copied[i];
		const char *given = led->given + c->at, *was = led->was + c->at;
		size_t first = 0, end = c->nbytes;

		while (first < end && given[first] == was[first])
			first++;
		while (end > first && given[end - 1] == was[end - 1])
			end--;
		if (copy_pages(g, c->addr + first, (char *)given + first, end - first, copy_out) <
			end - first)
			return -EFAULT;
	}
	return 0;
}

/* The kernel refuses so much, wherever it is. */
static int is_too_much(const struct umpa_call *call, const struct umpa_call_buffer *b)
{
	uintptr_t list;
	size_t n;

	if (umpa_call_list(call, &list, &n))
		return n > IOV_MAX;
	return umpa_call_of_pieces(call->number) && b->position == 1 &&
	       call->argument[b->nbytes_at] > SSIZE_MAX;
}

/* What the kernel writes lies in pages that may be written, or the call does with less. */
static int keep_open(struct umpa_guest *g, struct umpa_led *led, const struct umpa_call_buffer *b)
{
	uint64_t *argument = led->call.argument;
	size_t nbytes = b->nbytes ? nbytes_of(&led->call, b) : 1, open;

	if (!(b->flags & CALL_IS_WRITTEN) || !nbytes)
		return 0;
	open = nbytes_open(g, (char *)argument[b->position], nbytes);
	if (open == nbytes)
		return 0;
	if (!open || !(b->flags & CALL_MAY_BE_LESS))
		return -EFAULT;
	argument[b->nbytes_at] = open;
	return 0;
}

/* The host is given its home, or all its homes. */
static int lead_buffer(struct umpa_guest *g, struct umpa_led *led, int position)
{
	uint64_t *argument = led->call.argument;
	char *addr = (char *)argument[position];
	struct umpa_call_buffer b;
	size_t nbytes, n;

	b = umpa_call_buffer(&led->call, position);
	if (b.position < 0 || is_too_much(&led->call, &b))
		return 0;
	if (keep_open(g, led, &b))
		return -EFAULT;
	nbytes = nbytes_of(&led->call, &b);
	n = in_a_row(g, addr, nbytes ? nbytes : 1);
	if (n < nbytes && position == 1 && umpa_call_of_pieces(led->call.number)) {
		/* What is small goes at once: some files take no pieces. */
		if (!give_copy(g, led, &argument[position], nbytes, 0))
			return 0;
		n = add_pieces(g, led, addr, nbytes);
		if (!n || (n < nbytes && !(b.flags & CALL_MAY_BE_LESS)))
			return -EFAULT;
		argument[b.nbytes_at] = n;
	} else if (n < nbytes && b.flags & CALL_MAY_BE_LESS) {
		if (!n)
			return -EFAULT;
		argument[b.nbytes_at] = n;
	} else if (n < nbytes) {
		int is_text = b.nbytes_at == CALL_TEXT;

		if (is_text || b.nbytes)
			return umpa_call_takes_copies(&led->call)
				       ? give_copy(g, led, &argument[position], nbytes, is_text)
				       : -EFAULT;
		/* What is of unknown length may end where the window does. */
		if (!n || is_led(g, addr + n))
			return -EFAULT;
	}
	if (n)
		argument[position] = (uintptr_t)umpa_peers_home(g, addr);
	return 0;
}

static int lead_message_of_buffer(struct umpa_led *led)
{
	uint64_t *a = led->call.argument;
	int error = 0, length = (int)a[5];

	led->message = (struct msghdr){
		.msg_name = (void *)a[4], .msg_iov = led->piece, .msg_iovlen = led->npieces};
	if (led->call.number == SYS_recvmsg && a[4]) {
		led->length_at = a[5];
		error = copy_in(&length, a[5], sizeof(length));
	}
	/* A message would leave out a name of no length, and cut one that is too long. */
	if (!error && a[4] && led->call.number == SYS_sendmsg &&
		(length < 1 || (size_t)length > sizeof(struct sockaddr_storage)))
		error = -EINVAL;
	if (!error && a[4] && length < 0)
		error = -EINVAL;
	led->message.msg_namelen = a[4] ? (socklen_t)length : 0;
	a[1] = (uintptr_t)&led->message;
	a[2] = a[3];
	return error;
}

/* A buffer in several places: the call that takes it so. */
static int call_with_pieces(struct umpa_led *led)
{
	uint64_t *a = led->call.argument;

	if (led->npieces < 2)
		return 0;
	led->call.number = umpa_call_of_pieces(led->call.number);
	if (led->call.number == SYS_recvmsg || led->call.number == SYS_sendmsg)
		return lead_message_of_buffer(led);
	a[1] = (uintptr_t)led->piece;
	a[2] = led->npieces;
	a[4] = 0; /* the upper half of a position */
	return 0;
}

/* --- lists -------------------------------------------------------------------------------- */

enum {
	LOOK_NENTRIES = 32
};

/* Each entry of a list, to be looked at: 0 to go on. Lists that are too long are for the kernel to
 * refuse. */
static int each_entry(uintptr_t list, size_t n, struct umpa_guest *g, struct umpa_led *led,
	int (*look)(struct umpa_guest *g, struct umpa_led *led, const struct iovec *v))
{
	struct iovec v[LOOK_NENTRIES];
	int result = 0;

	n = n > IOV_MAX ? 0 : n;
	for (size_t i = 0; !result && i < n; i++) {
		size_t k = i % LOOK_NENTRIES, left = n - i;

		if (!k)
			result = copy_in(v, list + i * sizeof(v[0]),
				(left < LOOK_NENTRIES ? left : LOOK_NENTRIES) * sizeof(v[0]));
		if (!result)
			result = look(g, led, &v[k]);
	}
	return result;
}

/* How much of it the call may have. */
static size_t nbytes_of_entry(struct umpa_guest *g, struct umpa_led *led, const struct iovec *v)
{
	return led->writes_list ? nbytes_open(g, v->iov_base, v->iov_len) : v->iov_len;
}

/* 1: it is not where it is seen, or not all of it may be had. What is no length is for the kernel
 * to refuse. */
static int is_away(struct umpa_guest *g, struct umpa_led *led, const struct iovec *v)
{
	return v->iov_len && v->iov_len <= SSIZE_MAX &&
	       (!is_at_home(g, v->iov_base, v->iov_len) || nbytes_of_entry(g, led, v) < v->iov_len);
}

/* 1: not all of it is there any more, and the list ends. */
static int add_entry(struct umpa_guest *g, struct umpa_led *led, const struct iovec *v)
{
	if (v->iov_len > SSIZE_MAX)
		return -EINVAL;
	return add_pieces(g, led, v->iov_base, nbytes_of_entry(g, led, v)) < v->iov_len;
}

/* What a call reads or writes as if it were another process's must be where it is seen. */
static int check_own(struct umpa_guest *g, struct umpa_led *led)
{
	const uint64_t *a = led->call.argument;
	int process = umpa_call_process(&led->call), result;

	if (likely(!process) || process != umpa_process_id())
		return 0;
	led->writes_list = led->call.number == SYS_process_vm_writev;
	result = each_entry(a[3], a[4], g, led, is_away);
	return result > 0 ? -EFAULT : result;
}

/* 0: it can stay as it is; 1: it is written anew, and 2: as far as it could; -errno. */
static int lead_list(struct umpa_guest *g, struct umpa_led *led, uintptr_t list, size_t n)
{
	int result = n ? each_entry(list, n, g, led, is_away) : 0;

	if (result <= 0)
		return result;
	result = each_entry(list, n, g, led, add_entry);
	if (result < 0)
		return result;
	return led->npieces ? 1 + result : -EFAULT;
}

/* --- messages ----------------------------------------------------------------------------- */

/* What a message points to beside its list is in one place. */
static int lead_home(struct umpa_guest *g, void **addr, size_t nbytes)
{
	if (!*addr || !nbytes || !is_led(g, *addr))
		return 0;
	if (in_a_row(g, *addr, nbytes) < nbytes)
		return -EFAULT;
	*addr = umpa_peers_home(g, *addr);
	return 0;
}

/* The kernel takes no more. */
static size_t name_nbytes(const struct msghdr *m)
{
	return m->msg_namelen < sizeof(struct sockaddr_storage) ? m->msg_namelen
								: sizeof(struct sockaddr_storage);
}

static int points_alike(const struct msghdr *a, const struct msghdr *b)
{
	return a->msg_name == b->msg_name && a->msg_control == b->msg_control &&
	       a->msg_iov == b->msg_iov;
}

static int lead_message(struct umpa_guest *g, struct umpa_led *led)
{
	struct msghdr *m = &led->message;
	uint64_t *header = &led->call.argument[1];
	int error = copy_in(&led->of_guest, *header, sizeof(led->of_guest)), result;

	if (error)
		return error;
	*m = led->of_guest;
	if (lead_home(g, &m->msg_name, name_nbytes(m)) ||
		lead_home(g, &m->msg_control, m->msg_controllen) ||
		(m->msg_iovlen <= IOV_MAX &&
			lead_home(g, (void **)&m->msg_iov, m->msg_iovlen * sizeof(*m->msg_iov))))
		return -EFAULT;
	result = lead_list(g, led, (uintptr_t)m->msg_iov, m->msg_iovlen);
	if (result < 0 || result > 1)
		return result < 0 ? result : -EFAULT;
	if (result) {
		m->msg_iov = led->piece;
		m->msg_iovlen = led->npieces;
	}
	if (points_alike(m, &led->of_guest))
		return 0;
	if (led->call.number == SYS_recvmsg)
		led->message_at = *header;
	*header = (uintptr_t)m;
	return 0;
}

/* It can stay as it is; else -EFAULT. */
static int check_message(struct umpa_guest *g, struct umpa_led *led, uintptr_t header)
{
	struct msghdr m;
	int error = copy_in(&m, header, sizeof(m));

	if (error)
		return error;
	if (!is_at_home(g, m.msg_name, name_nbytes(&m)) ||
		!is_at_home(g, m.msg_control, m.msg_controllen) ||
		!is_at_home(g, m.msg_iov, m.msg_iovlen * sizeof(*m.msg_iov)))
		return -EFAULT;
	error = each_entry((uintptr_t)m.msg_iov, m.msg_iovlen, g, led, is_away);
	return error > 0 ? -EFAULT : error;
}

/* Of many messages as many go as can stay as they are; or the first one by itself: calls that take
 * many may do with fewer. */
static int lead_messages(struct umpa_guest *g, struct umpa_led *led, uintptr_t at, size_t n)
{
	uint64_t *a = led->call.argument;
	size_t k = 0;

	n = n < IOV_MAX ? n : IOV_MAX;
	while (k < n && !check_message(g, led, at + k * sizeof(struct mmsghdr)))
		k++;
	if (k == n)
		return 0;
	a[2] = k;
	if (k)
		return 0;
	led->call.number = umpa_call_of_one(led->call.number);
	a[2] = a[3] & ~(uint64_t)MSG_WAITFORONE;
	led->count_at = at + offsetof(struct mmsghdr, msg_len);
	return lead_message(g, led);
}

static int lead_lists(struct umpa_guest *g, struct umpa_led *led)
{
	uint64_t *a = led->call.argument;
	uintptr_t at;
	size_t n, each;
	int result = check_own(g, led);

	if (result)
		return result;
	led->writes_list = umpa_call_writes_list(led->call.number);
	if (umpa_call_list(&led->call, &at, &n)) {
		result = lead_list(g, led, at, n);
		if (result > 0) {
			a[1] = (uintptr_t)led->piece;
			a[2] = led->npieces;
		}
		return result < 0 ? result : 0;
	}
	if (!umpa_call_messages(&led->call, &at, &n, &each))
		return 0;
	return each == sizeof(struct msghdr) ? lead_message(g, led) : lead_messages(g, led, at, n);
}

/* --- the call ----------------------------------------------------------------------------- */

/* Something is mapped by order, where page tables lead elsewhere. */
static int orders_away(struct umpa_guest *g, const struct umpa_call *call)
{
	uintptr_t begin;
	size_t nbytes;

	return umpa_call_orders(call, &begin, &nbytes) && !is_at_home(g, (void *)begin, nbytes);
}

int umpa_lead(struct umpa_guest *g, const struct umpa_call *call, struct umpa_led *led)
{
	int error = orders_away(g, call) ? -EFAULT : 0;

	led->call = *call;
	led->length_at = led->message_at = led->count_at = 0;
	led->npieces = led->ncopies = 0;
	led->copies_nbytes = 0;
	for (int i = 0; !error && i < (int)array_len(call->argument); i++)
		if (unlikely(is_led(g, (const char *)call->argument[i])))
			error = lead_buffer(g, led, i);
	if (!error && led->npieces)
		return call_with_pieces(led);
	return error ? error : lead_lists(g, led);
}

static int write_message(const struct umpa_led *led)
{
	struct msghdr m = led->of_guest;

	m.msg_namelen = led->message.msg_namelen;
	m.msg_controllen = led->message.msg_controllen;
	m.msg_flags = led->message.msg_flags;
	return copy_out(&m, led->message_at, sizeof(m));
}

/* Lengths and such, and then what was copied: they may lie in a copy. */
static int write_back(struct umpa_guest *g, const struct umpa_led *led, long result)
{
	socklen_t length = led->message.msg_namelen;
	unsigned nbytes = (unsigned)result;
	int error = 0;

	if (result >= 0 && led->length_at)
		error = copy_out(&length, led->length_at, sizeof(length));
	if (!error && result >= 0 && led->message_at)
		error = write_message(led);
	if (!error && result >= 0 && led->count_at)
		error = copy_out(&nbytes, led->count_at, sizeof(nbytes));
	return error ? error : bring_back(g, led);
}

long umpa_led_result(struct umpa_guest *g, const struct umpa_led *led, long result)
{
	int error = write_back(g, led, result);

	if (error)
		return error;
	return led->count_at && result >= 0 ? 1 : result;
}
