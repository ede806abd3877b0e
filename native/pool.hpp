// The trainer's threads. Networks wait in a queue and are trained whole, each by one thread, so a result does not
// depend on the number of threads or on the company.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "engine.hpp"

namespace schuss {

class Pool {
 public:
  struct Result {
    long key;
    Outcome outcome;
  };

  Pool(Data data, int threads, const Engine &engine) : data_(std::move(data)), engine_(engine), steps_(threads) {
    try {
      for (int i = 0; i < threads; i++) workers_.emplace_back([this, i] { work(steps_[i].count); });
    } catch (...) {  // the system refused a thread; those that run must end before they are destroyed
      close();
      throw;
    }
  }
  ~Pool() { close(); }
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  const Data &data() const { return data_; }

  void submit(long key, Plan plan) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back({key, generation_.load(), std::make_unique<Plan>(std::move(plan))});
      pending_++;
    }
    job_ready_.notify_one();
  }

  // Everything finished since the last call; waits for something until the timeout.
  std::vector<Result> poll(double timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    result_ready_.wait_for(lock, std::chrono::duration<double>(timeout),
                           [this] { return !results_.empty() || pending_ == 0; });
    pending_ -= static_cast<long>(results_.size());
    return std::exchange(results_, {});
  }

  // Running networks stop at their next step and still report; waiting ones are dropped. Later ones run as usual.
  void cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    generation_++;
    pending_ -= static_cast<long>(queue_.size());
    queue_.clear();
  }

  long pending() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return pending_;
  }
  long steps() const {
    long sum = 0;
    for (const Counter &counter : steps_) sum += counter.count.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct Job {
    long key, generation;
    std::unique_ptr<Plan> plan;
  };
  struct alignas(128) Counter {  // a cache line each
    std::atomic<long> count{0};
  };

  void close() {
    cancel();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closing_ = true;
    }
    job_ready_.notify_all();
    for (std::thread &worker : workers_) worker.join();
  }

  void work(std::atomic<long> &steps) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      job_ready_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (closing_) return;
      Job job = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      Outcome outcome = train(job, steps);
      job.plan.reset();
      lock.lock();
      results_.push_back({job.key, std::move(outcome)});
      result_ready_.notify_all();
    }
  }

  // An exception must not end the process: memory for one network may be lacking while others fit.
  Outcome train(const Job &job, std::atomic<long> &steps) const {
    Control control{generation_, job.generation, steps};
    Outcome failed;
    failed.status = "failed";
    try {
      return engine_.train(*job.plan, data_, control);
    } catch (const std::exception &error) {
      failed.message = error.what();
    }
    return failed;
  }

  const Data data_;
  const Engine &engine_;
  std::mutex mutex_;
  std::condition_variable job_ready_, result_ready_;
  std::deque<Job> queue_;
  std::vector<Result> results_;
  long pending_ = 0;
  bool closing_ = false;
  std::atomic<long> generation_{0};
  std::vector<Counter> steps_;
  std::vector<std::thread> workers_;
};

}  // namespace schuss
