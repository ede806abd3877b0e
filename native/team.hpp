// Several threads on one network. Its own thread leads: it opens stretches of work in equal parts, takes some itself and
// waits until all are done. Others help while they have no network of their own; they come and go at any time, because
// a part belongs to whoever takes it first and the leader does what nobody takes.
//
// Numbers must not depend on who helps: a part is some slices of a batch, some rows of a gradient or some stretch of
// memory, never a share of a sum.
#pragma once
#include <atomic>
#include <thread>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace schuss {

struct Range {
  int first, last;
};

// Part `part` of `parts` equal ones; the whole by default.
struct Share {
  int part = 0, parts = 1;
  Range of(int count) const {
    if (parts == 1) return {0, count};  // most networks are small, and divisions slow
    return {at(part, count), at(part + 1, count)};
  }

 private:
  int at(int border, int count) const { return static_cast<int>(static_cast<long>(count) * border / parts); }
};

// Waiting: for a few microseconds at full attention, then giving way. A thread that keeps spinning takes its core from
// the thread it waits for when a foreign job runs on the machine: a step of milliseconds then took three times as long.
class Patience {
 public:
  void wait() {
    if (++waited_ > kSpins) return std::this_thread::yield();
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

 private:
  static constexpr int kSpins = 500;
  int waited_ = 0;
};

class Team {
 public:
  explicit Team(int most) : most_(most) {}
  ~Team() { close(); }
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  // For the leader.
  int most() const { return most_; }  // threads that can be of use, the leader among them
  int size() const { return 1 + helpers_.load(std::memory_order_relaxed); }

  // f(Share) for each of so many parts, by whoever is there; returns when all are done.
  template <class F> void each(int parts, const F &f) {
    if (parts == 1) return f(Share{});
    call_ = [](const void *context, Share share) { (*static_cast<const F *>(context))(share); };
    context_ = &f;
    parts_ = parts;
    unfinished_.store(parts, std::memory_order_relaxed);
    open_.store(parts, std::memory_order_release);
    while (take_part()) {}
    for (Patience patience; unfinished_.load(std::memory_order_acquire) > 0;) patience.wait();
  }

  // For helpers. Joining is only for one thread at a time, and not after `close`.
  bool wants_help() const { return size() < most_; }
  void join() { helpers_.fetch_add(1, std::memory_order_relaxed); }
  // Takes parts until the leader has finished or `stop()`, and counts them in `taken`.
  template <class F> void help(F stop, std::atomic<long> &taken) {
    for (Patience patience; !closed_.load(std::memory_order_relaxed) && !stop();) {
      if (take_part()) {
        taken.fetch_add(1, std::memory_order_relaxed);
        patience = {};
      } else {
        patience.wait();
      }
    }
    helpers_.fetch_sub(1, std::memory_order_release);  // from now on the team may be gone
  }

  // Waits until the last helper has left.
  void close() {
    closed_.store(true, std::memory_order_relaxed);
    for (Patience patience; helpers_.load(std::memory_order_acquire) > 0;) patience.wait();
  }

 private:
  // What is to be done is read only after a part is taken: until that part is done, the leader does not change it.
  bool take_part() {
    int open = open_.load(std::memory_order_relaxed);
    do {
      if (open == 0) return false;
    } while (!open_.compare_exchange_weak(open, open - 1, std::memory_order_acquire, std::memory_order_relaxed));
    call_(context_, Share{open - 1, parts_});
    unfinished_.fetch_sub(1, std::memory_order_release);
    return true;
  }

  const int most_;
  void (*call_)(const void *context, Share share) = nullptr;
  const void *context_ = nullptr;
  int parts_ = 0;
  // What is polled lies apart from what the leader writes otherwise, and from each other.
  alignas(128) std::atomic<int> open_{0};
  alignas(128) std::atomic<int> unfinished_{0};
  alignas(128) std::atomic<int> helpers_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace schuss
