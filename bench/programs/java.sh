# java: collections and arrays under a garbage collector that maps memory itself.
. "${0%/*}/common"
commands="java javac"
packages=default-jdk-headless

prepare()
{
	cat >Work.java <<'JAVA'
import java.util.*;

public class Work {
	public static void main(String[] args) {
		int n = Integer.parseInt(args[0]);
		Map<String, List<Integer>> names = new TreeMap<>();
		for (int i = 0; i < n; i++)
			names.computeIfAbsent("n" + (i * 7919L % (n / 4)), k -> new ArrayList<>()).add(i);
		long sum = 0;
		for (Map.Entry<String, List<Integer>> e : names.entrySet())
			sum = sum * 31 + e.getKey().hashCode() + e.getValue().size();
		System.out.println(names.size() + " " + sum);
		List<byte[]> buffers = new ArrayList<>();
		for (int i = 0; i < n / 200; i++) {
			byte[] b = new byte[20000 + (int)(i * 7919L % 300000)];
			Arrays.fill(b, (byte)i);
			buffers.add(b);
			if (buffers.size() > 64)
				sum += buffers.remove(i % 64)[100];
		}
		double[] d = new Random(2011).doubles(n * 2).sorted().toArray();
		System.out.println(sum + " " + d[n]);
		StringBuilder s = new StringBuilder();
		for (int i = 0; i < n; i++)
			s.append(i);
		System.out.println(s.length() + " " + s.toString().hashCode());
	}
}
JAVA
	javac -d . Work.java
}

run()
{
	java -XX:+UseSerialGC -Xshare:auto -Xmx512m -cp . Work "$(pick 20000 400000)"
}

main "$@"
