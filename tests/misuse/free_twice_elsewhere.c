/* stderr: umpa: umpa_free(0x*): no live block begins here; freed twice, or inside a block */
#include <pthread.h>
#include <umpa/umpa.h>

static void *free_it(void *block)
{
	umpa_free(block);
	return NULL;
}

int main(void)
{
	void *block = umpa_alloc(10000, 0), *behind = umpa_alloc(10000, 0);
	pthread_t thread;

	pthread_create(&thread, NULL, free_it, block);
	pthread_join(thread, NULL);
	umpa_free(block);
	umpa_free(behind);
	return 0;
}
