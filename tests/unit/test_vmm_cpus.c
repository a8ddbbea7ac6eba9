/* Machines of several CPUs on a fake /dev/kvm: who has which, and how each is made to forget. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>

#include "core/core.h"
#include "support/check.h"
#include "support/fake_kvm.h"
#include "support/fake_os.h"
#include "vmm/machine.h"

#define MIB ((size_t)1 << 20)

static struct umpa_vmm *vmm;

static void begin(unsigned ncpus)
{
	struct umpa_vmm_options o = {.ncpus = ncpus, .holding_nbytes = 8 * MIB};

	umpa_core_stop();
	fake_reset();
	fake_kvm_reset();
	umpa_core_start();
	REQUIRE(!umpa_vmm_create(&vmm, &o));
}

static long function(struct umpa_guest *g, void *arg)
{
	(void)g;
	return (long)arg;
}

static int run(long *ret)
{
	return umpa_vmm_run(vmm, function, NULL, ret, NULL);
}

/* --- making ------------------------------------------------------------------------------- */

TEST(vmm_cpus_have_their_own)
{
	const struct umpa_vmm_cpu *a, *b;

	PLAN(9);
	begin(3);
	a = &vmm->cpu[0], b = &vmm->cpu[2];
	CHECK_EQ(fake_kvm.ncpus, 3);
	CHECK_EQ(a->stack_end % 16 + b->stack_end % 16, 0);
	CHECK(b->stack_end >= a->stack_end + 2 * MIB);
	CHECK_EQ(b->state.gs_base, (uintptr_t)&b->inner);
	CHECK_EQ(b->guest.number, 2);
	CHECK(a->guest.superpage == b->guest.superpage &&
		a->guest.table_offset == b->guest.table_offset);
	CHECK(a->holding.begin + a->holding.nbytes < b->holding.begin && b->holding.nslots == 4);
	umpa_vmm_destroy(vmm);
	CHECK(!fake_kvm.ncpus && !fake_kvm.nmachines);
}

TEST(vmm_cpus_refused_anywhere)
{
	struct umpa_vmm_options o = {.ncpus = 3, .holding_nbytes = 8 * MIB};
	size_t mapped, reserved;
	unsigned nwrong = 0, nrefused = 0;
	uint64_t ncalls;

	PLAN(5);
	begin(1);
	umpa_vmm_destroy(vmm);
	mapped = fake_mapped_nbytes();
	reserved = fake_reserved_nbytes();
	ncalls = fake_ncalls();
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	ncalls = fake_ncalls() - ncalls;
	umpa_vmm_destroy(vmm);
	for (uint64_t n = 1; n <= ncalls; n++) {
		fake_fail_at(n, -ENOMEM);
		vmm = NULL;
		nrefused += umpa_vmm_create(&vmm, &o) != 0;
		fake_fail_at(0, 0);
		umpa_vmm_destroy(vmm);
		nwrong += fake_kvm.nmachines || fake_kvm.ncpus || fake_mapped_nbytes() != mapped ||
			  fake_reserved_nbytes() != reserved;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(nrefused > 10);
	CHECK(fake_consistent());
}

TEST(vmm_cpus_are_as_many_as_the_host_has)
{
	struct umpa_vmm_options o = {.ncpus = 9};

	PLAN(4);
	begin(8);
	umpa_vmm_destroy(vmm);
	CHECK_EQ(umpa_vmm_create(&vmm, &o), -ENOTSUP);
	o.ncpus = UMPA_VMM_NCPUS_MAX + 1;
	CHECK_EQ(umpa_vmm_create(&vmm, &o), -EINVAL);
	CHECK(!fake_kvm.nmachines && !fake_kvm.ncpus);
}

/* --- who has which ------------------------------------------------------------------------ */

static int come_out(struct umpa_kvm_event *e, enum umpa_kvm_exit exit, unsigned port)
{
	e->exit = exit;
	e->port = port;
	return 0;
}

static unsigned depth;
static int nested_error, sync_error;
static const struct umpa_guest *entered[4];

/* Each function runs another one, as long as there are CPUs; all of them are at work then. */
static int run_another(struct umpa_kvm_event *e)
{
	entered[depth++] = (const struct umpa_guest *)e->registers.rdi;
	if (depth == 2)
		sync_error = umpa_vmm_sync(vmm, NULL, 0);
	if (depth < 4)
		nested_error = run(NULL);
	return come_out(e, KVM_PORT, GUEST_PORT_DONE);
}

TEST(vmm_cpus_are_had_by_one)
{
	PLAN(11);
	begin(3);
	fake_kvm.run = run_another;
	depth = 0;
	CHECK_EQ(run(NULL), 0);
	CHECK_EQ(depth, 3);
	CHECK_EQ(nested_error, 0); /* the last to be told is the first's */
	CHECK_EQ(sync_error, -EBUSY);
	CHECK(entered[0] != entered[1] && entered[1] != entered[2] && entered[2] != entered[0]);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	for (int i = 0; i < 2; i++) {
		depth = 0;
		CHECK_EQ(run(NULL), 0);
		CHECK_EQ(depth, 3);
	}
	umpa_vmm_destroy(vmm);
}

/* Outside it is the same. */
static long run_outside(struct umpa_guest *g, void *arg)
{
	(void)g, (void)arg;
	depth++;
	if (depth < 4)
		nested_error |= umpa_vmm_run(vmm, run_outside, NULL, NULL, NULL);
	return 0;
}

TEST(vmm_cpus_outside)
{
	struct umpa_vmm_options o = {.flags = UMPA_VMM_ALLOW_HOST, .ncpus = 2};

	PLAN(6);
	begin(1);
	umpa_vmm_destroy(vmm);
	fake_kvm.error = -ENODEV;
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	depth = 0;
	nested_error = 0;
	CHECK_EQ(umpa_vmm_run(vmm, run_outside, NULL, NULL, NULL), 0);
	CHECK_EQ(depth, 2);
	CHECK_EQ(nested_error, -EBUSY);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	umpa_vmm_destroy(vmm);
}

/* --- forgetting --------------------------------------------------------------------------- */

/* What a CPU goes on with, each time. */
static struct umpa_kvm_registers seen[4];
static unsigned nruns;
static enum umpa_kvm_exit first_exit;
static unsigned first_port;
static int is_changed; /* between its first exit and its going on */

/* Of another CPU, meanwhile. */
static void change(void)
{
	umpa_epoch_begin(&vmm->peers.epochs);
}

static int come_out_twice(struct umpa_kvm_event *e)
{
	seen[nruns++] = e->registers;
	if (nruns == 2)
		return come_out(e, KVM_PORT, GUEST_PORT_DONE);
	if (is_changed)
		change();
	e->registers.rax = SYS_getppid;
	return come_out(e, first_exit, first_port);
}

static int run_by(enum umpa_kvm_exit exit, unsigned port, int changed)
{
	first_exit = exit;
	first_port = port;
	is_changed = changed;
	nruns = 0;
	fake_kvm.nforgets = 0;
	fake_kvm.run = come_out_twice;
	return run(NULL);
}

TEST(vmm_cpus_forget_by_how_they_came_out)
{
	PLAN(19);
	begin(2);
	for (int changed = 0; changed < 2; changed++) {
		CHECK_EQ(run_by(KVM_PORT, GUEST_PORT_CALL, changed), 0);
		CHECK_EQ(seen[1].rip == (uintptr_t)umpa_guest_call_forgets, changed);
		CHECK_EQ(fake_kvm.nforgets, 0);
		CHECK_EQ(run_by(KVM_SIGNAL, 0, changed), 0);
		CHECK_EQ(fake_kvm.nforgets, changed);
		CHECK(seen[1].rip == (uintptr_t)umpa_guest_enter);
	}
	/* It has forgotten by then; and what was changed while it was out is told as it comes in.
	 */
	CHECK(!run_by(KVM_SIGNAL, 0, 0) && !(seen[0].rcx & GUEST_ENTER_FORGETS));
	change();
	CHECK(!run_by(KVM_SIGNAL, 0, 0) && seen[0].rcx & GUEST_ENTER_FORGETS);
	CHECK(!run_by(KVM_SIGNAL, 0, 0) && !(seen[0].rcx & GUEST_ENTER_FORGETS));
	/* Where that is refused it can't go on. The first call arms it. */
	fake_fail_at(2, -EINVAL);
	CHECK_EQ(run_by(KVM_SIGNAL, 0, 1), -EIO);
	fake_fail_at(0, 0);
	CHECK_EQ(nruns, 1);
	CHECK_EQ(fake_kvm.nalarms, 0);
	umpa_vmm_destroy(vmm);
}

static int fault(struct umpa_kvm_event *e)
{
	seen[0] = e->registers;
	return come_out(e, KVM_HALT, 0);
}

/* It is not known how far a function came that was ended. */
TEST(vmm_cpus_forget_after_a_fault)
{
	PLAN(4);
	begin(2);
	fake_kvm.run = fault;
	CHECK_EQ(run(NULL), -EFAULT);
	CHECK(!(seen[0].rcx & GUEST_ENTER_FORGETS));
	CHECK(run(NULL) == -EFAULT && seen[0].rcx & GUEST_ENTER_FORGETS);
	umpa_vmm_destroy(vmm);
}

static int flush(struct umpa_kvm_event *e)
{
	if (nruns++)
		return come_out(e, KVM_PORT, GUEST_PORT_DONE);
	change();
	return come_out(e, KVM_PORT, GUEST_PORT_FLUSH);
}

static unsigned ncame_out;

/* The other one needs some time to come out. */
static void on_interrupt(int thread)
{
	struct umpa_vmm_cpu *other = &vmm->cpu[thread == 77 ? 2 : 0];

	if (other->thread == -77 && ++ncame_out == 2)
		umpa_epoch_leave(&vmm->peers.epochs, 2);
}

/* CPU 2 runs another function, CPU 1 none. */
TEST(vmm_cpus_interrupt_who_remembers)
{
	PLAN(7);
	begin(3);
	fake_kvm.run = flush;
	fake_kvm.interrupted = on_interrupt;
	nruns = 0;
	CHECK_EQ(run(NULL), 0);
	CHECK_EQ(ncame_out, 0);
	umpa_vmm_set_owner(&vmm->cpu[2], 55);
	vmm->cpu[2].thread = 77;
	(void)umpa_epoch_enter(&vmm->peers.epochs, 2);
	nruns = 0;
	CHECK_EQ(run(NULL), 0);
	CHECK_EQ(ncame_out, 2);
	CHECK_EQ(vmm->cpu[2].thread, 77);
	CHECK_EQ(nruns, 2);
	umpa_vmm_destroy(vmm);
}

/* --- tables ------------------------------------------------------------------------------- */

/* One CPU makes superpages consist of pages, another makes them whole: tables go back, and not
 * before all have forgotten them. */
TEST(vmm_cpus_give_tables_back)
{
	const struct umpa_stock *stock;
	struct umpa_guest *a, *b;
	unsigned nwrong = 0;
	uint64_t *table = NULL;
	char *addr;

	PLAN(6);
	begin(2);
	a = &vmm->cpu[0].guest, b = &vmm->cpu[1].guest;
	stock = &vmm->peers.stock;
	addr = (char *)a->base;
	for (size_t i = 0; i < 3 * (vmm->nslots + 2 * PEER_NFREED); i++) {
		uint64_t *new;

		umpa_g_split(a, addr);
		new = umpa_g_table(a, *umpa_g_pte(a, addr, 1));
		/* The one before still says where its pages are, for who may walk it. */
		nwrong += table && i % PEER_NFREED && (new == table || !(*table & UMPA_G_PRESENT));
		nwrong += umpa_g_home(a, addr + 5 * 4096) != addr + 5 * 4096;
		table = new;
		umpa_g_set_superpage(b, addr, umpa_g_entry(b, addr) | UMPA_G_LEAF);
	}
	CHECK_EQ(nwrong, 0);
	CHECK(stock->nfresh <= 2 * (PEER_NFREED + PEER_NKEPT) + 1);
	/* Who ends them keeps some. */
	CHECK_EQ(vmm->peers.peer[0].nkept, 0);
	CHECK_EQ(vmm->peers.peer[1].nkept, PEER_NKEPT);
	for (size_t i = 0; i < 3 * (vmm->nslots + 2 * PEER_NFREED); i++) {
		umpa_g_split(b, addr);
		umpa_g_set_superpage(b, addr, umpa_g_entry(b, addr) | UMPA_G_LEAF);
	}
	CHECK(umpa_g_home(b, addr + 4096) == addr + 4096);
	umpa_vmm_destroy(vmm);
}
